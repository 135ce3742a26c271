package setup

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testTime = time.Date(2026, 11, 23, 3, 27, 57, 0, time.UTC)

// home is a home in a folder of its own.
type home struct {
	t    *testing.T
	dest string
}

// newHome makes a home whose ossec.conf has that content.
func newHome(t *testing.T, conf string, others ...string) home {
	t.Helper()
	h := home{t, t.TempDir()}
	h.put("etc/ossec.conf", conf)
	if err := os.Mkdir(h.path("logs"), 0o770); err != nil {
		t.Fatal(err)
	}
	for _, name := range others {
		h.put(name, "")
	}
	return h
}

func (h home) path(name string) string { return filepath.Join(h.dest, "var/ossec", name) }

func (h home) put(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o640); err != nil {
		h.t.Fatal(err)
	}
}

func (h home) text(name string) string {
	h.t.Helper()
	data, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// run runs and returns what was printed.
func (h home) run(o Options) (string, error) {
	var out bytes.Buffer
	o.Home, o.DestDir, o.Now, o.Out = "/var/ossec", h.dest, testTime, &out
	err := Run(o)
	return strings.ReplaceAll(out.String(), h.dest, ""), err
}

func (h home) mustRun(o Options) string {
	h.t.Helper()
	out, err := h.run(o)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h home) backups() []string {
	files, _ := filepath.Glob(h.path("etc/ossec.conf.ossec-ar-backup-*"))
	return files
}

func example(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/ossec.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestRunKeepsEveryByte: set up, again, and taken out, the file is what it was; and in
// between it holds all of that and one block more.
func TestRunKeepsEveryByte(t *testing.T) {
	server := example(t)
	for name, conf := range map[string]string{
		"as installed":      server,
		"no final newline":  strings.TrimSuffix(server, "\n"),
		"blanks at the end": server + "\n \t\n  ",
		"CRLF":              strings.ReplaceAll(server, "\n", "\r\n"),
		"CRLF, no end":      strings.TrimSuffix(strings.ReplaceAll(server, "\n", "\r\n"), "\r\n"),
		"one line":          "<ossec_config></ossec_config>",
		"empty":             "",
		"only a comment":    "<!-- nothing yet -->\n",
		"latin1 and NUL":    "<!-- caf\xe9 \x00 -->\n" + server,
		"a bare ampersand":  strings.Replace(server, "/etc/mtab", "/etc/a&b", 1),
		"BOM":               "\xef\xbb\xbf" + server,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, conf)
			all := Options{Profiles: ProfileNames(), Whitelist: []string{"203.0.113.10"}}
			h.mustRun(all)
			with := h.text("etc/ossec.conf")
			if !strings.HasPrefix(with, conf) {
				t.Fatalf("what was there has changed:\n%s", with)
			}
			if strings.HasSuffix(with, "\n") != strings.HasSuffix(conf, "\n") && conf != "" {
				t.Errorf("the last line has, or lost, a newline")
			}
			if want := strings.Contains(conf, "\r\n"); want == strings.Contains(strings.ReplaceAll(with[len(conf):],
				"\r\n", ""), "\n") {
				t.Errorf("the block has other line ends than the file:\n%q", with[len(conf):])
			}
			if f := look([]byte(with)); !slices.Contains(f.whitelist, "203.0.113.10") || len(f.responses) < 7 {
				t.Errorf("read back: %+v", f)
			}
			for _, again := range []Options{all, {}} {
				if out := h.mustRun(again); !strings.Contains(out, "ossec.conf is set up already") ||
					h.text("etc/ossec.conf") != with {
					t.Errorf("the second time it printed %q and made\n%s", out, h.text("etc/ossec.conf"))
				}
			}
			h.mustRun(Options{Remove: true})
			if diff := cmp.Diff(conf, h.text("etc/ossec.conf")); diff != "" {
				t.Errorf("taken out (-before +after):\n%s", diff)
			}
			if out := h.mustRun(Options{Remove: true}); out != "" {
				t.Errorf("taken out again: %q", out)
			}
		})
	}
}

func TestRunKeepsModeOwnerAndBackup(t *testing.T) {
	h := newHome(t, example(t))
	conf := h.path("etc/ossec.conf")
	if err := os.Chmod(conf, 0o604); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(conf, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(conf, h.path("etc/real.conf")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.conf", conf); err != nil {
		t.Fatal(err)
	}
	before := stat(t, h.path("etc/real.conf"))
	out := h.mustRun(Options{})
	if info, err := os.Lstat(conf); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	if got := stat(t, h.path("etc/real.conf")); got != before {
		t.Errorf("mode and owner are %+v, were %+v", got, before)
	}
	backup := "etc/real.conf.ossec-ar-backup-20261123-032757"
	if got := stat(t, h.path(backup)); got != before {
		t.Errorf("mode and owner of the backup are %+v, of the file %+v", got, before)
	}
	if h.text(backup) != example(t) {
		t.Error("the backup is not what was there")
	}
	if !strings.Contains(out, "as it was: /var/ossec/"+backup+"\nrestart OSSEC when it suits you") {
		t.Errorf("printed %q", out)
	}
	// In the same second, the first backup is not lost.
	h.mustRun(Options{Remove: true})
	if h.text(backup) != example(t) || !isThere(h.path(backup+"-2")) {
		t.Error("the first backup was written over")
	}
	if leftovers, _ := filepath.Glob(h.path("etc/.*")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
}

func TestRunDryChangesNothing(t *testing.T) {
	h := newHome(t, example(t))
	out := h.mustRun(Options{DryRun: true, Whitelist: []string{"10.1.2.3/8"}})
	if h.text("etc/ossec.conf") != example(t) || len(h.backups()) > 0 {
		t.Error("it changed something")
	}
	for _, want := range []string{"would add white_list 10.0.0.0/8\n",
		"would add active-response firewall-drop: rules 5712,5720, for 600 s\n",
		"would set up /var/ossec/etc/ossec.conf\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\nadded") || strings.Contains(out, "restart") {
		t.Errorf("it claims to have done it:\n%s", out)
	}
}

// TestRunKeepsPlaceAndChoice: another run with other profiles replaces the block where it
// stands, and keeps the whitelist.
func TestRunKeepsPlaceAndChoice(t *testing.T) {
	h := newHome(t, example(t))
	h.mustRun(Options{Profiles: []string{"ssh"}, Whitelist: []string{"203.0.113.10"}})
	added := "<ossec_config>\n  <active-response>\n    <command>route-null</command>\n    <location>local</location>\n    <rules_id>40111</rules_id>\n    <timeout>60</timeout>\n  </active-response>\n</ossec_config>\n"
	h.put("etc/ossec.conf", h.text("etc/ossec.conf")+added)
	h.mustRun(Options{Profiles: []string{"web", "mail"}, Whitelist: []string{"2001:db8::/32"}})
	text := h.text("etc/ossec.conf")
	if !strings.HasPrefix(text, example(t)) || !strings.HasSuffix(text, blockMarks.end+"\n"+added) {
		t.Errorf("the block has moved:\n%s", text)
	}
	f := look([]byte(text))
	for _, entry := range []string{"203.0.113.10", "2001:db8::/32"} {
		if !slices.Contains(f.whitelist, entry) {
			t.Errorf("%s is not listed: %q", entry, f.whitelist)
		}
	}
	if strings.Contains(text, "<rules_id>5711</rules_id>") {
		t.Error("profile ssh is there still")
	}
}

// TestRunReportsChanges: what stays is not reported, and what goes is.
func TestRunReportsChanges(t *testing.T) {
	h := newHome(t, example(t), "bin/wazuh-control")
	h.mustRun(Options{Profiles: []string{"ssh", "mail"}, Whitelist: []string{"203.0.113.10"}})
	for _, step := range []struct {
		options Options
		want    string
	}{
		{Options{Profiles: []string{"repeat", "ssh"}}, `removed command email-alert (email-notification.sh)
removed active-response firewall-drop: rules 5712,5763,5720, for 600 s
removed active-response email-alert: rules 5712,5763,5720,31151
added active-response firewall-drop: rules 5712,5763, for 3600 s, then for 30,60,120 minutes
added active-response firewall-drop: rules 5720, for 600 s
`},
		{Options{Whitelist: []string{"203.0.113.11"}, DryRun: true}, "would add white_list 203.0.113.11\n"},
		{Options{Whitelist: []string{"203.0.113.11"}}, "added white_list 203.0.113.11\n"},
	} {
		var got strings.Builder
		for line := range strings.Lines(h.mustRun(step.options)) {
			if verb := strings.TrimPrefix(line, "would "); strings.HasPrefix(verb, "remove") ||
				strings.HasPrefix(verb, "add") {
				got.WriteString(line)
			}
		}
		if diff := cmp.Diff(step.want, got.String()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", step.options, diff)
		}
	}
}

// TestRemoveLeavesWhatIsUsed: a <command> that somebody's own response needs stays, for
// OSSEC would not start without.
func TestRemoveLeavesWhatIsUsed(t *testing.T) {
	h := newHome(t, "<ossec_config>\n</ossec_config>\n")
	h.mustRun(Options{})
	text := h.text("etc/ossec.conf") +
		"<ossec_config><active-response><command>route-null</command><location>local</location><level>9</level></active-response></ossec_config>\n"
	h.put("etc/ossec.conf", text)
	out := h.mustRun(Options{Remove: true})
	if !strings.Contains(out, "left command route-null in ossec.conf: an active-response of yours uses it\n") {
		t.Errorf("printed %q", out)
	}
	f := look([]byte(h.text("etc/ossec.conf")))
	if len(f.commands) != 1 || f.commands[0].executable != routeNull.executable || f.commands[0].noAddress ||
		len(f.responses) != 1 {
		t.Errorf("left: %+v", f)
	}
}

func TestRunRefuses(t *testing.T) {
	const sound = "<ossec_config>\n</ossec_config>\n"
	for _, test := range []struct {
		name, conf, want string
		options          Options
	}{
		{"a root that is never closed", "<ossec_config>\n<global>\n</global>\n",
			"could not be read there; mend the file first", Options{}},
		{"a comment that is never closed", sound + "<!-- later\n", "line 3: the comment is never closed",
			Options{}},
		{"an end without a beginning", sound + blockMarks.end + "\n", "line 3: the marks of the block", Options{}},
		{"two beginnings", sound + blockMarks.begin + " -->\n" + blockMarks.begin + " -->\n" + blockMarks.end,
			"the marks of the block", Options{Remove: true}},
		{"an unknown profile", sound, `there is no profile "sshd": choose from chat, mail, repeat, severity, ssh, web`,
			Options{Profiles: []string{"ssh", "sshd"}}},
		{"whitelist entries that OSSEC ignores", sound,
			"whitelist entry \"10.0.0.*\": neither an address nor a network such as 192.168.1.0/24\nwhitelist entry \"bastion\": neither", Options{Whitelist: []string{"10.0.0.*", "10.0.0.1", "bastion"}}},
		{"a whitelist of everything", sound, "covers everything", Options{Whitelist: []string{"0.0.0.0/0"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t, test.conf)
			_, err := h.run(test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if h.text("etc/ossec.conf") != test.conf || len(h.backups()) > 0 {
				t.Error("it changed something")
			}
		})
	}
	if err := Run(Options{Home: filepath.Join(t.TempDir(), "none")}); err == nil ||
		!strings.Contains(err.Error(), "there is no OSSEC or Wazuh in") {
		t.Errorf("without a home: %v", err)
	}
	if err := Run(Options{Home: filepath.Join(t.TempDir(), "none"), Remove: true}); err != nil {
		t.Errorf("nothing to take out: %v", err)
	}
}

func TestAgent(t *testing.T) {
	const conf = "<ossec_config>\n  <client>\n    <server-ip>192.0.2.1</server-ip>\n  </client>\n  <localfile>\n    <log_format>syslog</log_format>\n    <location>/var/log/*.log</location>\n  </localfile>\n</ossec_config>\n"
	h := newHome(t, conf)
	out := h.mustRun(Options{Profiles: []string{"ssh", "repeat"}, Whitelist: []string{"203.0.113.10",
		"203.0.113.10"}})
	text := h.text("etc/ossec.conf")
	for _, gone := range []string{"<command>", "<white_list>", "<rules_id>"} {
		if strings.Contains(text, gone) {
			t.Errorf("%s is in an agent's ossec.conf", gone)
		}
	}
	if f := look([]byte(text)); f.repeatAt == 0 || len(f.localfile) != 4 {
		t.Errorf("read back: %+v", f)
	}
	if !strings.Contains(out, "on the agent itself, run: ossec-ar whitelist add 203.0.113.10\n") {
		t.Errorf("below another root it printed %q", out)
	}
	var own bytes.Buffer
	if err := Run(Options{Home: h.path(""), Whitelist: []string{"203.0.113.10"}, Now: testTime,
		Out: &own}); err != nil {
		t.Fatal(err)
	}
	if got := h.text("etc/whitelist.d/ossec-ar.list"); got != "203.0.113.10\n" {
		t.Errorf("whitelist: %q\n%s", got, own.String())
	}
	if !strings.Contains(out, "this is an agent") || strings.Contains(out, "mail") {
		t.Errorf("printed %q", out)
	}
	if out := h.mustRun(Options{Profiles: []string{"mail"}, DryRun: true}); !strings.Contains(out,
		"mail is not set up on an agent") {
		t.Errorf("printed %q of mail", out)
	}
	h.put("VERSION.json", `{"version": "5.0.0", "stage": "beta4"}`)
	out = h.mustRun(Options{Profiles: []string{"ssh"}, DryRun: true})
	if !strings.Contains(out,
		"for ssh, define an active response there: executable block-ip, type stateful, timeout 600\n") {
		t.Errorf("printed %q on Wazuh 5", out)
	}
	h.mustRun(Options{Remove: true})
	if h.text("etc/ossec.conf") != conf || !isThere(h.path("etc/whitelist.d/ossec-ar.list")) {
		t.Error("it is not as it was, or the agent's own whitelist is gone")
	}
	// The daemon that only a server has makes the difference where the file does not.
	server := newHome(t, conf, "bin/ossec-analysisd")
	server.mustRun(Options{})
	if !strings.Contains(server.text("etc/ossec.conf"), "<command>") {
		t.Error("a server was taken for an agent")
	}
}

type meta struct {
	mode     os.FileMode
	uid, gid uint32
}

func stat(t *testing.T, path string) meta {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*syscall.Stat_t)
	return meta{info.Mode(), s.Uid, s.Gid}
}
