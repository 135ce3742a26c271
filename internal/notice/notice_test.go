package notice

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

const onlyOps = "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>192.0.2.1</smtp_server></global></ossec_config>"

// place is a home without an ossec-ar.
type place struct {
	t    *testing.T
	home ossec.Home
}

func newPlace(t *testing.T, conf, settings string) place {
	t.Helper()
	p := place{t, ossec.Home(t.TempDir())}
	for path, text := range map[string]string{p.home.Conf(): conf, string(p.home) + "/etc/active-response.toml": settings} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// run calls the program in this process.
func (p place) run(stdin string, args ...string) (status int, stdout, stderr string) {
	out, errs := new(bytes.Buffer), new(bytes.Buffer)
	status = Main(app.Env{
		Args:  append([]string{filepath.Join(p.home.Programs(), Mail.Program+".sh")}, args...),
		Stdin: strings.NewReader(stdin), Stdout: out, Stderr: errs,
		Dir: "/", Now: time.Now, Proc: "/proc", ParentPID: 1,
	}, Mail)
	return status, out.String(), errs.String()
}

func (p place) log() string {
	text, _ := os.ReadFile(p.home.NotificationLog()) // none is ""
	return string(text)
}

// queued returns the notices in the queue.
func (p place) queued() (all []Notice) {
	p.t.Helper()
	box, err := outbox.Open(Mail.Queue(p.home))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	items, _, err := box.List(time.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, i := range items {
		var n Notice
		if err := json.Unmarshal(i.Body, &n); err != nil {
			p.t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// Where ossec-ar is missing, a notice waits all the same, and the log says so once.
func TestWithoutTool(t *testing.T) {
	p := newPlace(t, onlyOps, "")
	const why = "starting the delivery: "
	for range 2 {
		status, stdout, stderr := p.run(
			"",
			"add",
			"root",
			"203.0.113.7",
			"1795422839.8",
			"5712",
			"(web)",
			"192.0.2.5->/var/log/auth.log",
			"-",
		)
		if status != 0 || stdout != "" || !strings.HasPrefix(stderr, Mail.Program+".sh: "+why) ||
			!strings.Contains(stderr, "(the notice waits until `ossec-ar maintain` runs)") {
			t.Errorf("status %d, %q, %q", status, stdout, stderr)
		}
	}
	if n := strings.Count(p.log(), " warn - 203.0.113.7 1795422839.8 5712 - Warning: "+why); n != 1 ||
		strings.Count(p.log(), "\n") != 1 {
		t.Errorf("log\n%s", p.log())
	}
	queued := p.queued()
	if len(queued) != 2 || queued[0].Addr != netip.MustParseAddr("203.0.113.7") || queued[0].RuleID != "5712" ||
		queued[0].User != "root" ||
		queued[0].Where != "(web) 192.0.2.5->/var/log/auth.log" ||
		queued[0].Facts != nil ||
		queued[0].Kind != Alert {
		t.Errorf("%+v", queued)
	}
	tool := filepath.Join(string(p.home), "bin/ossec-ar")
	if err := errors.Join(os.Mkdir(filepath.Dir(tool), 0o755), os.WriteFile(tool, []byte("#!/bin/false"), 0o755), os.Chmod(tool, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, _, stderr := p.run("", "add", "-", "203.0.113.7"); !strings.Contains(
		stderr,
		"could be changed by others",
	) {
		t.Errorf("%q", stderr)
	}
}

func TestByHand(t *testing.T) {
	p := newPlace(t, onlyOps, "")
	if status, stdout, _ := p.run("", "add", "203.0.113.7"); status != 0 ||
		stdout != "queued a notice about 203.0.113.7\n" {
		t.Errorf("%d, %q", status, stdout)
	}
	if status, stdout, _ := p.run("", "delete", "203.0.113.7"); status != 0 ||
		!strings.Contains(stdout, "see --on-delete") {
		t.Errorf("%d, %q", status, stdout)
	}
	if status, _, _ := p.run("", "--on-delete", "delete", "203.0.113.7"); status != 0 {
		t.Errorf("%d", status)
	}
	if queued := p.queued(); len(queued) != 2 || queued[1].Kind != End {
		t.Errorf("%+v", queued)
	}
	for args, want := range map[string]string{
		"add --dry-run 203.0.113.7": "options stand before", "add 203.0.113.7 203.0.113.8": "takes one address", "add x": "not an IPv4", "add": "takes an address",
	} {
		if status, _, stderr := p.run("", strings.Fields(args)...); status != 1 ||
			!strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %q", args, status, stderr)
		}
	}
	for _, args := range []string{"queue", "test", "frobnicate", "--frob", "--dry-run add 203.0.113.7"} {
		if status, stdout, stderr := p.run("", strings.Fields(args)...); status != 1 || stdout != "" ||
			!strings.Contains(stderr, "is not installed in "+string(p.home)+"/bin") {
			t.Errorf("%s: %d, %q, %q", args, status, stdout, stderr)
		}
	}
	for _, args := range []string{"help", "--help", "version", "--version"} {
		if status, stdout, stderr := p.run("", args); status != 0 || stdout == "" || stderr != "" {
			t.Errorf("%s: %d, %q, %q", args, status, stdout, stderr)
		}
	}
	if len(p.queued()) != 2 || strings.Contains(p.log(), "error") {
		t.Errorf("log\n%s", p.log())
	}
}

const wazuhRequest = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[EXTRA],"alert":{"timestamp":"2026-11-23T08:33:59.123+0000","rule":{"level":10,"description":"Brute force","id":"5763","groups":["sshd"]},"agent":{"id":"001","name":"web"},"id":"1669818000.12345","full_log":"Failed password\u0000","data":{"srcip":"203.0.113.7","dstuser":"root\nx"}},"program":"active-response/bin/email-notification"}}` + "\n"

func TestWazuhCall(t *testing.T) {
	p := newPlace(t, onlyOps, "")
	if status, stdout, _ := p.run(strings.Replace(wazuhRequest, "EXTRA", "", 1)); status != 0 ||
		stdout != "" {
		t.Errorf("status %d, %q", status, stdout)
	}
	ends := strings.Replace(wazuhRequest, "EXTRA", `"--on-delete"`, 1)
	status, stdout, _ := p.run(ends + `{"version":1,"command":"continue","parameters":{}}` + "\n")
	if status != 0 ||
		stdout != `{"version":1,"origin":{"name":"email-notification","module":"active-response"},"command":"check_keys","parameters":{"keys":["203.0.113.7"]}}`+"\n" {
		t.Errorf("status %d, %q", status, stdout)
	}
	status, _, _ = p.run(ends + `{"version":1,"command":"abort","parameters":{}}` + "\n")
	if status != 0 ||
		!strings.Contains(
			p.log(),
			" skip - 203.0.113.7 1669818000.12345 5763 - Skipped IP: 203.0.113.7: the daemon already holds it\n",
		) {
		t.Errorf("status %d, log\n%s", status, p.log())
	}
	for _, bad := range []string{"", "{", "[]\n", `{"command":"add","parameters":{"alert":{"data":{"srcip":"x"}}}}`} {
		if status, _, stderr := p.run(bad); status != 1 || stderr == "" {
			t.Errorf("%q: status %d, %q", bad, status, stderr)
		}
	}
	queued := p.queued()
	if len(queued) != 2 {
		t.Fatalf("%+v", queued)
	}
	f := queued[0].Facts
	if f == nil || f.Level != 10 || f.Description != "Brute force" || f.Host != "web" ||
		f.User != `root\x0ax` ||
		f.Log != `Failed password\x00` ||
		f.Groups[0] != "sshd" {
		t.Errorf("%+v", f)
	}
}

func TestNothingSet(t *testing.T) {
	p := newPlace(t, "<ossec_config><global></global></ossec_config>", "")
	p.run("", "add", "-", "203.0.113.7", "1.1", "5712", "x", "-")
	status, _, stderr := p.run("", "add", "-", "203.0.113.8", "1.2", "5712", "x", "-")
	if status != 1 || !strings.Contains(stderr, "hint: set <email_to> and <smtp_server> in <global>") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if !strings.Contains(p.log(), " warn - 203.0.113.7 1.1 5712 - Warning: mail is not set up: ") ||
		strings.Count(p.log(), "\n") != 1 {
		t.Errorf("log %q", p.log())
	}
	if _, err := os.Lstat(Mail.Queue(p.home)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a queue: %v", err)
	}
	if status, _, stderr := p.run("", "delete", "-", "203.0.113.7", "1.1", "5712", "x", "-"); status != 0 ||
		stderr != "" {
		t.Errorf("delete: status %d, %s", status, stderr)
	}
}

func TestQueueFolderOfOthers(t *testing.T) {
	p := newPlace(t, onlyOps, "")
	elsewhere := t.TempDir()
	if err := errors.Join(os.MkdirAll(string(p.home)+"/var", 0o755), os.Symlink(elsewhere, p.home.State())); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := p.run("", "add", "-", "203.0.113.7", "-", "5712")
	if status != 1 || !strings.Contains(stderr, "is not used") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestQueueReport(t *testing.T) {
	report := func(p place, subject, text string) error {
		program := app.New(
			app.Env{
				Args:   []string{filepath.Join(p.home.Programs(), "response-stats")},
				Stderr: new(bytes.Buffer),
				Now:    time.Now,
			},
			"x",
		)
		return QueueReport(&program, Mail, subject, text, "<p>seven</p>", false)
	}
	p := newPlace(t, onlyOps, "")
	if err := report(p, "Report", "seven\n"); err != nil {
		t.Error(err)
	}
	if queued := p.queued(); len(queued) != 1 || queued[0].Kind != Report || queued[0].Subject != "Report" ||
		queued[0].Text != "seven\n" ||
		queued[0].HTML == "" {
		t.Errorf("%+v", queued)
	}
	if err := report(p, "x", ""); !errors.Is(err, errEmpty) {
		t.Errorf("err = %v", err)
	}
	if err := report(newPlace(t, "", ""), "x", "y"); !errors.Is(err, config.ErrMailUnset) {
		t.Errorf("err = %v", err)
	}
	if err := report(newPlace(t, "", "[mail]\nsmtp_server = \"x\"\n[[mail.route]]\nto = [\"a@b.c\"]\nlevel = 3\n"), "x", "y"); !errors.Is(
		err,
		config.ErrMailUnset,
	) {
		t.Errorf("err = %v", err)
	}
}
