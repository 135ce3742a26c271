package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// pages are documents whose examples are run one after another, on a host with the suite and
// nothing else, and what each needs before.
var pages = map[string]string{
	"README.md":             "printf '203.0.113.9\\n' > blocklist.txt",
	"docs/ossec-ar.md":      "firewall-drop.sh add - 198.51.100.1 1304756247.60385 5712",
	"docs/configuration.md": "ossec-ar whitelist add 192.168.1.0/24",
	"docs/firewall-drop.md": "firewall-drop.sh add - 198.51.100.1 1304756247.60385 5712;" +
		" ipset create ossec_ar4 hash:ip",
	"docs/host-deny.md":       "true",
	"docs/route-null.md":      "true",
	"docs/upkeep.md":          "true",
	"docs/troubleshooting.md": "true",
	"docs/tutorial.md":        "true",
	"docs/email-notification.md": "printf '<ossec_config><global><email_notification>yes</email_notification>" +
		"<email_to>admin@example.com</email_to><smtp_server>127.0.0.1</smtp_server></global></ossec_config>'" +
		" > $OSSEC_HOME/etc/ossec.conf; custom-firewall-drop.sh add - 203.0.113.7 1.2 31103;" +
		" firewall-drop.sh add - 203.0.113.7 1.1 5712",
	"docs/chat-notification.md": "printf '[[chat]]\\nurl_file = \"/etc/ossec-ar/slack.url\"\\n' >$OSSEC_HOME/etc/active-response.toml",
	"docs/moving.md": "(yes '' | head -19; echo '<ossec_config><global><white_list>192.168.1.0/24</white_list></global></ossec_config>')" +
		" > $OSSEC_HOME/etc/ossec.conf; iptables -N OSSEC; iptables -I INPUT -j OSSEC;" +
		" for a in 203.0.113.7 203.0.113.8 203.0.113.9 192.168.1.5; do iptables -I OSSEC -s $a -j DROP; done",
	"docs/wazuh.md": "true",
	"docs/response-stats.md": "cp $DATA/active-responses.log $OSSEC_HOME/logs/; mkdir $OSSEC_HOME/logs/alerts;" +
		" cp $DATA/alerts.log $OSSEC_HOME/logs/alerts/",
	"docs/list-json.md":       "firewall-drop.sh add - 198.51.100.1 1304756247.60385 5712",
	"docs/json-log.md":        "printf '[log]\\njson = true\\n' >$OSSEC_HOME/etc/active-response.toml",
	"docs/unban.md":           "firewall-drop.sh add - 203.0.113.7 1.1 5712",
	"docs/disable-account.md": "useradd --password abcdefgh mallory",
	"docs/ip-customblock.md":  "printf '[ip_customblock]\\nfolder = \"/ipblock\"\\n' >$OSSEC_HOME/etc/active-response.toml",
}

// notRun are examples that need what the page says: an installation, mail, OSSEC, a name server, the
// file that the host's own firewall is saved in.
var notRun = regexp.MustCompile(`install\.sh|SHA256SUMS|ossec-control|^ossec-ar check$|apt install|backports|` +
	`git clone|make |(mail|chat) (test|flush)|--(mail|chat)$|/var/lib/prometheus|ansible-playbook|iptables -t raw|ossec-ar watch|example\.com|/etc/iptables/|ipset destroy|restore$`)

// TestDocs: the examples in the documents do what stands under them. Times, dates and the width of
// columns may differ, and "..." is anything.
func TestDocs(t *testing.T) {
	if os.Getenv(programsVariable) == "" {
		t.Setenv(programsVariable, build(t))
	}
	for name, before := range pages {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			if isolate.Test(t) {
				runPage(t, filepath.Join("..", name), before)
			}
		})
	}
}

// TestDocsAreRun: a page that has examples is run, here or by a script of its own.
func TestDocsAreRun(t *testing.T) {
	others := map[string]string{
		"docs/custom-responses.md": "custom-response.txtar",
		"docs/fleet.md":            "fleet_ansible.txtar",
	}
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(file, "../")
		_, run := pages[name]
		_, err = os.Stat(others[name])
		if len(examples(string(text))) > 0 && !run && (others[name] == "" || err != nil) {
			t.Errorf("nothing runs the examples of %s", name)
		}
	}
}

func runPage(t *testing.T, path, before string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	home := filepath.Join(dir, "ossec")
	if err := install(filepath.Join(os.Getenv(programsVariable), "cmd"), home); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"etc", "logs"} {
		if err := os.Mkdir(filepath.Join(home, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(before, "useradd") && !isolate.Root() {
		t.Skip("not root")
	}
	data, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := strings.NewReplacer("/var/ossec", home, "/ipblock", filepath.Join(dir, "ipblock"))
	shell := func(command, typed string) (string, error) {
		cmd := exec.Command("sh", "-c", elsewhere.Replace(command))
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(typed)
		cmd.Env = append(os.Environ(), "TZ=UTC", "OSSEC_HOME="+home, "DATA="+data,
			"PATH="+home+"/bin:"+home+"/active-response/bin:"+os.Getenv("PATH")+":/usr/sbin:/sbin")
		out, err := cmd.CombinedOutput()
		return strings.ReplaceAll(string(out), home, "/var/ossec"), err
	}
	if out, err := shell("ip link set lo up && ossec-ar maintain && "+before, ""); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ran := 0
	for _, e := range examples(string(text)) {
		if notRun.MatchString(e.command) {
			continue
		}
		if strings.Contains(e.command, "cat >") {
			e.typed, e.want = strings.Join(e.want, "\n")+"\n", nil
		}
		ran++
		out, err := shell(e.command, e.typed)
		switch {
		case len(e.want) > 0 && !e.matches(out):
			t.Errorf("%s\nprints:\n%s\nand not:\n%s", e.command, out, strings.Join(e.want, "\n"))
		case len(e.want) == 0 && err != nil && !strings.HasPrefix(e.command, "ossec-ar check"):
			t.Errorf("%s: %v\n%s", e.command, err, out)
		}
	}
	if ran == 0 {
		t.Error("it has no example")
	}
}

// example is a command, and what it prints.
type example struct {
	command string
	typed   string // what a person types, in the place of what is printed
	want    []string
}

// examples are the indented lines that begin with a prompt, with the lines below each.
func examples(text string) (all []example) {
	inside, empty := false, 0
	for line := range strings.Lines(text) {
		code, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
		code = strings.TrimSpace(code) // in a list it is further in
		prompt := indented && (strings.HasPrefix(code, "# ") || strings.HasPrefix(code, "$ "))
		switch {
		case prompt:
			command, _, _ := strings.Cut(strings.TrimPrefix(code[2:], "sudo "), "   # ")
			all = append(all, example{command: strings.TrimSpace(command)})
		case code == "" && inside: // it may go on behind it
			empty++
			continue
		case indented && inside:
			last := &all[len(all)-1]
			last.want = append(append(last.want, make([]string, empty)...), code)
		}
		inside, empty = prompt || indented && inside, 0
	}
	return all
}

// varies are the parts of an output that are not the same twice: times, dates and the name of the host.
var varies = regexp.MustCompile(`\d+:\d+(:\d+)?|\d{4}-\d{2}-\d{2}|"host":\{"name":"web"\}|` +
	`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} +\d+|2026`)

// dated is a time of another day, or of a log line, which begins with the day of the week.
var dated = regexp.MustCompile(`([A-Z][a-z]{2} )?[A-Z][a-z]{2} +\d+ (\d+:\d+)`)

// undated drops the days of times: late in the evening more of them are of another day.
func undated(text string) string {
	return dated.ReplaceAllStringFunc(text, func(found string) string {
		if parts := dated.FindStringSubmatch(found); parts[1] == "" {
			return parts[2]
		}
		return found
	})
}

func (e example) matches(out string) bool {
	var pattern strings.Builder
	out = undated(out)
	for _, line := range e.want {
		line = undated(line)
		if strings.TrimSpace(line) == "..." {
			pattern.WriteString(`(.*\n)*?`)
			continue
		}
		words := strings.Fields(varies.ReplaceAllStringFunc(line, func(found string) string {
			return strings.TrimSpace(strings.Repeat(mark+" ", len(strings.Fields(found))))
		}))
		for i, word := range words {
			words[i] = strings.ReplaceAll(regexp.QuoteMeta(word), mark, `\S+`)
			if word == "0" {
				words[i] = "(0|all)" // as iptables before 1.8.9 says
			}
		}
		pattern.WriteString(` *` + strings.Join(words, ` +`) + " *\n")
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(out)
}

// mark stands for a word that varies.
const mark = "\x00"
