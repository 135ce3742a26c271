package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

var addressLine = regexp.MustCompile(`(?m)^(?:Address: +)?(10\.\d+\.\d+\.\d+)`)

func countNamed(named map[string]int, m parsed) {
	for _, found := range addressLine.FindAllStringSubmatch(m.text, -1) {
		named[found[1]]++
	}
}

// Whenever the deliverer is killed, no mail is lost, and at most the one that it was at
// is sent twice.
func TestKilledDeliverer(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<email_maxperhour>1000</email_maxperhour>"), "")
	c := newClock()
	c.add(-time.Minute) // settled
	total := 0
	for kill, point := range []string{"before the mail", "within the mail", "before the answer", "within the mail", "before the answer"} {
		for range 3 {
			total++
			h.queueUp(c, fmt.Sprintf("10.0.0.%d", total), "5712")
		}
		reached, killed := make(chan struct{}), make(chan struct{})
		mails := 0
		s.set(func(s *mailServer) {
			s.onData = func(r io.Reader) error {
				if mails++; mails <= kill%3 { // so many get through first
					_, err := io.Copy(io.Discard, r)
					return err
				}
				var err error
				switch point {
				case "within the mail":
					_, err = io.CopyN(io.Discard, r, 1000)
				case "before the answer":
					_, err = io.Copy(io.Discard, r)
				}
				close(reached)
				<-killed
				if point != "before the answer" && err == nil {
					_, err = io.Copy(io.Discard, r)
					err = errorOr(err, io.ErrUnexpectedEOF)
				}
				return err
			}
		})
		cmd := h.process(deliverCommand)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-reached
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		close(killed)
	}
	s.set(func(s *mailServer) { s.onData = nil })
	if out, err := h.process("flush").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.idle()
	named, ids := map[string]int{}, map[string]int{}
	twice := 0
	for _, m := range s.all() {
		countNamed(named, m)
		if ids[m.header.Get("Message-Id")]++; ids[m.header.Get("Message-Id")] > 1 {
			twice++
		}
	}
	if len(named) != total {
		t.Errorf("%d of %d addresses are named", len(named), total)
	}
	if twice > 5 {
		t.Errorf("%d mails went twice in 5 kills", twice)
	}
	if n := h.waiting(stateWaiting) + h.waiting(stateArrived); n != 0 {
		t.Errorf("%d left", n)
	}
}

func errorOr(err, or error) error {
	if err != nil {
		return err
	}
	return or
}

// Many calls at once, each of which may start the deliverer or trust one that is about to
// leave: every address is named once.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf("<email_maxperhour>1000</email_maxperhour>"), "[mail]\nlinger = \"0s\"\n")
	const calls = 60
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			if out, err := h.process("add", "-", fmt.Sprintf("10.0.0.%d", i+1), "-", "5712", "x", "-").CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("call %d: %v\n%s", i, err, out)
			}
		})
	}
	running.Wait()
	named := map[string]int{}
	for len(named) < calls {
		m := s.next()
		countNamed(named, m)
	}
	h.idle()
	for _, m := range s.all() {
		countNamed(named, m)
	}
	for addr, n := range named {
		if n != 1 {
			t.Errorf("%s is named %d times", addr, n)
		}
	}
	if n := h.waiting(stateWaiting) + h.waiting(stateArrived); n != 0 {
		t.Errorf("%d left", n)
	}
}

const wazuhRequest = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[EXTRA],"alert":{"timestamp":"2026-11-23T08:33:59.123+0000","rule":{"level":10,"description":"Brute force","id":"5763","groups":["sshd"]},"agent":{"id":"001","name":"web"},"id":"1669818000.12345","full_log":"Failed password","data":{"srcip":"203.0.113.7","dstuser":"root"}},"program":"active-response/bin/email-notification"}}` + "\n"

func TestWazuhCall(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "[mail]\nlinger = \"0s\"\ncoalesce = \"0s\"\n")
	status, stdout, stderr := h.run(strings.Replace(wazuhRequest, "EXTRA", "", 1))
	if status != 0 || stdout != "" || stderr != "" {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	if m := s.next(); !strings.Contains(m.text, "Rule:        5763 (level 10)\nDescription: Brute force\nTime:        ") ||
		!strings.Contains(m.text, "Host:        web\nUser:        root\n") || !strings.Contains(m.text, "\n    Failed password\n") {
		t.Errorf("text\n%s", m.text)
	}
	status, stdout, _ = h.run(strings.Replace(wazuhRequest, "EXTRA", `"--on-delete"`, 1) + `{"version":1,"command":"continue","parameters":{}}` + "\n")
	if status != 0 || stdout != `{"version":1,"origin":{"name":"email-notification","module":"active-response"},"command":"check_keys","parameters":{"keys":["203.0.113.7"]}}`+"\n" {
		t.Errorf("status %d, %q", status, stdout)
	}
	s.next()
	status, _, _ = h.run(strings.Replace(wazuhRequest, "EXTRA", `"--on-delete"`, 1) + `{"version":1,"command":"abort","parameters":{}}` + "\n")
	if status != 0 || !strings.Contains(h.log(), " skip - 203.0.113.7 1669818000.12345 5763 - Skipped IP: 203.0.113.7: the daemon already holds it\n") {
		t.Errorf("status %d, log\n%s", status, h.log())
	}
	for _, bad := range []string{"", "{", "[]\n", `{"command":"add","parameters":{"alert":{"data":{"srcip":"x"}}}}`} {
		if status, _, stderr := h.run(bad); status != 1 || stderr == "" {
			t.Errorf("%q: status %d, %q", bad, status, stderr)
		}
	}
	h.idle()
	s.none()
}

func TestPersonsCommands(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	s.set(func(s *mailServer) { s.onData = func(io.Reader) error { return io.ErrUnexpectedEOF } })
	h := newHouse(t, s.conf(""), "[mail]\nlinger = \"0s\"\n")
	h.run("", "add", "203.0.113.7")
	h.run("", "add", "203.0.113.8")
	h.idle()
	type output struct {
		Error string
		Mails []listed `json:"notifications"`
	}
	read := func() output {
		t.Helper()
		status, stdout, stderr := h.run("", "queue", "--json")
		var o output
		if err := json.Unmarshal([]byte(stdout), &o); status != 0 || err != nil {
			t.Fatalf("%d, %v, %s", status, err, stderr)
		}
		return o
	}
	o := read()
	if len(o.Mails) != 2 {
		t.Fatalf("%+v", o)
	}
	if status, stdout, stderr := h.run("", "queue", "--drop", o.Mails[0].ID); status != 0 || stdout != "dropped 1\n" {
		t.Errorf("drop: %d, %q, %q", status, stdout, stderr)
	}
	if status, _, stderr := h.run("", "queue", "--drop", "../../x"); status != 1 || !strings.Contains(stderr, "there is no notification") {
		t.Errorf("drop: %d, %q", status, stderr)
	}
	s.set(func(s *mailServer) { s.onData = nil })
	if status, stdout, stderr := h.run("", "queue", "--retry", "all"); status != 0 || stdout != "trying 1 again\n" {
		t.Errorf("retry: %d, %q, %q", status, stdout, stderr)
	}
	if m := s.next(); !strings.HasSuffix(m.subject, o.Mails[1].Address) {
		t.Errorf("subject %q", m.subject)
	}
	h.idle()
	if _, stdout, _ := h.run("", "queue"); stdout != "the queue is empty\n" {
		t.Errorf("queue: %q", stdout)
	}
	if status, stdout, _ := h.run("", "check", "--settings"); status != 0 || !strings.HasPrefix(stdout, "mail goes to 1 recipients") {
		t.Errorf("check: %d %q", status, stdout)
	}
	if status, stdout, _ := h.run("", "--dry-run", "add", "203.0.113.9"); status != 0 || !strings.Contains(stdout, "Subject: OSSEC Alert: Threat Detected - 203.0.113.9\r\n") {
		t.Errorf("dry run: %d\n%s", status, stdout)
	}
	for args, want := range map[string]string{
		"preview": "Subject: OSSEC Alert: Threat Blocked - 203.0.113.7\n", "preview --html": "<!DOCTYPE html>", "preview --digest": " addresses, ",
		"template text": "{{range .Standing}}", "--help": "email-notification.sh queue --retry all", "queue --help": "--drop", "--version": "version",
	} {
		if status, stdout, stderr := h.run("", strings.Fields(args)...); status != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%s: %d, %q\n%s", args, status, stderr, stdout)
		}
	}
	for args, want := range map[string]string{"frobnicate": "unknown action", "template x": "there is no template", "queue --drop 1 --retry 1": "either", "flush x": "takes no argument", "--frob": "flag provided but not defined", "add -": "too few arguments", "add x y": "not an IPv4"} {
		if status, _, stderr := h.run("", strings.Fields(args)...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %q", args, status, stderr)
		}
	}
	if n := h.waiting(stateWaiting) + h.waiting(stateArrived); n != 0 {
		t.Errorf("%d left", n)
	}
	s.none()
}

func TestQueueFolderOfOthers(t *testing.T) {
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "")
	elsewhere := t.TempDir()
	if err := os.MkdirAll(string(h.home)+"/var", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, h.home.State()); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := h.run("", "add", "-", "203.0.113.7", "-", "5712")
	if status != 1 || !strings.Contains(stderr, "is not used") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	s, _ := newMailServer(t, false, false)
	h := newHouse(t, s.conf(""), "[mail]\nlinger = \"0s\"\n")
	env, _, _ := h.env("")
	p := app.New(env, Name)
	settings, err := LoadSettings(h.home, newMailConfig())
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range []Message{{Subject: "Report\r\nBcc: x@example.org", Text: "seven\n", HTML: "<p>seven</p>"}, {Subject: "Text alone", Text: "eight\n"}} {
		if err := Submit(&p, settings, m); err != nil {
			t.Fatal(err)
		}
		got := s.next()
		if want := strings.ReplaceAll(m.Subject, "\r\n", " "); got.subject != want || got.text != m.Text || got.html != m.HTML || got.header.Get("Bcc") != "" {
			t.Errorf("%d: %q\n%s\n%s", i, got.subject, got.text, got.html)
		}
	}
	h.idle()
	if !strings.Contains(h.log(), " add - - - - - Email sent: Text alone\n") {
		t.Errorf("log\n%s", h.log())
	}
	if err := Submit(&p, settings, Message{Subject: "x"}); !errors.Is(err, errEmpty) {
		t.Errorf("err = %v", err)
	}
	if settings, err = LoadSettings(newHouse(t, "", "").home, newMailConfig()); !errors.Is(err, ErrNotSet) {
		t.Errorf("err = %v", err)
	}
	if err := Submit(&p, settings, Message{Subject: "x", Text: "y"}); !errors.Is(err, ErrNotSet) {
		t.Errorf("err = %v", err)
	}
}
