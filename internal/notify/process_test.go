package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
	"github.com/ossec-ar/ossec-ar/internal/notice"
)

// A call by OSSEC returns at once; a process of its own finds the alert and sends.
func TestCallDelivers(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(
		t,
		s.Conf("<email_idsname>north</email_idsname><email_reply_to>soc@example.org</email_reply_to>"),
		"[mail]\nlinger = \"0s\"\n",
	)
	id := fmt.Sprintf("%d.0", time.Now().Unix())
	h.write(
		h.home.AlertLog(),
		"** Alert "+id+": mail  - syslog,sshd,\n2026 Nov 23 08:33:59 (web) 192.0.2.5->/var/log/auth.log\nRule: 5712 (level 10) -> 'SSHD brute force trying to get access to the system.'\nSrc IP: 203.0.113.7\nUser: root\nsshd[9]: Failed password <b>for</b> root\n\n",
	)
	h.hold("firewall-drop", "firewall-drop.sh", "203.0.113.7", time.Now().Add(-time.Minute))
	cmd := h.process(
		h.invoked(),
		"add",
		"root",
		"203.0.113.7",
		id,
		"5712",
		"(web)",
		"192.0.2.5->/var/log/auth.log",
		"-",
	)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	m := s.Next()
	if m.Subject != "OSSEC Alert: Threat Blocked - 203.0.113.7" || m.From != "ossec@web.example.org" ||
		strings.Join(m.To, ",") != "ops@example.org" {
		t.Errorf("subject %q, from %s to %s", m.Subject, m.From, m.To)
	}
	if m.Header.Get("X-IDS-OSSEC") != "north" || m.Header.Get("Reply-To") != "<soc@example.org>" ||
		m.Header.Get("Auto-Submitted") == "" {
		t.Errorf("header %v", m.Header)
	}
	for _, want := range []string{"Blocked by firewall-drop.sh since ", "Rule:        5712 (level 10)", "SSHD brute force trying", "Host:        web", "User:        root", "Location:    /var/log/auth.log", "    sshd[9]: Failed password <b>for</b> root",
		"    ossec-ar show 203.0.113.7\n    ossec-ar unban 203.0.113.7\n"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the text lacks %q:\n%s", want, m.Text)
		}
	}
	if !strings.Contains(m.HTML, "Failed password &lt;b&gt;for&lt;/b&gt; root") ||
		strings.Contains(m.HTML, "<b>for") {
		t.Errorf("HTML:\n%s", m.HTML)
	}
	h.idle()
	line := regexp.MustCompile(
		`^\S+ \S+ +\d+ \S+ \S+ \d{4} ` + regexp.QuoteMeta(
			h.invoked(),
		) + ` add - 203\.0\.113\.7 ` + regexp.QuoteMeta(
			id,
		) + ` 5712 - Email notification sent for blocked IP: 203\.0\.113\.7\n$`,
	)
	if !line.MatchString(h.log()) {
		t.Errorf("log %q", h.log())
	}
	if h.left() != 0 {
		t.Errorf("%d left in the queue", h.left())
	}
}

var addressLine = regexp.MustCompile(`(?m)^(?:Address: +)?(10\.\d+\.\d+\.\d+)`)

func countNamed(named map[string]int, m mailtest.Mail) {
	for _, found := range addressLine.FindAllStringSubmatch(m.Text, -1) {
		named[found[1]]++
	}
}

// Whenever the deliverer is killed, no mail is lost, and at most the one that it was at
// is sent twice.
func TestKilledDeliverer(t *testing.T) {
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf("<email_maxperhour>1000</email_maxperhour>"), "")
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
		s.Set(func(s *mailtest.Server) {
			s.OnData = func(r io.Reader) error {
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
					if _, err = io.Copy(io.Discard, r); err == nil {
						err = io.ErrUnexpectedEOF
					}
				}
				return err
			}
		})
		cmd := h.process(h.tool(), "mail", "deliver")
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
	s.Set(func(s *mailtest.Server) { s.OnData = nil })
	if status, _, stderr := h.mail("flush"); status != 0 {
		t.Fatalf("%d, %s", status, stderr)
	}
	named, ids := map[string]int{}, map[string]int{}
	twice := 0
	for _, m := range s.All() {
		countNamed(named, m)
		if ids[m.Header.Get("Message-Id")]++; ids[m.Header.Get("Message-Id")] > 1 {
			twice++
		}
	}
	if len(named) != total {
		t.Errorf("%d of %d addresses are named", len(named), total)
	}
	if twice > 5 {
		t.Errorf("%d mails went twice in 5 kills", twice)
	}
	if h.left() != 0 {
		t.Errorf("%d left", h.left())
	}
}

// Many calls at once, each of which may start the deliverer or trust one that is about to
// leave: every address is named once.
func TestCallsAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf("<email_maxperhour>1000</email_maxperhour>"), "[mail]\nlinger = \"0s\"\n")
	const calls = 60
	var running sync.WaitGroup
	for i := range calls {
		running.Go(func() {
			if out, err := h.process(h.invoked(), "add", "-", fmt.Sprintf("10.0.0.%d", i+1), "-", "5712", "x", "-").CombinedOutput(); err != nil ||
				len(out) > 0 {
				t.Errorf("call %d: %v\n%s", i, err, out)
			}
		})
	}
	running.Wait()
	named := map[string]int{}
	for len(named) < calls {
		countNamed(named, s.Next())
	}
	h.idle()
	for _, m := range s.All() {
		countNamed(named, m)
	}
	for addr, n := range named {
		if n != 1 {
			t.Errorf("%s is named %d times", addr, n)
		}
	}
	if h.left() != 0 {
		t.Errorf("%d left", h.left())
	}
}

func TestQueueWords(t *testing.T) {
	t.Parallel()
	s, _ := mailtest.New(t, false, false)
	s.Set(func(s *mailtest.Server) { s.OnData = func(io.Reader) error { return io.ErrUnexpectedEOF } })
	h := newHouse(t, s.Conf(""), "[mail]\nlinger = \"0s\"\n")
	if _, stdout, _ := h.mail("queue"); stdout != "the queue is empty\n" {
		t.Errorf("queue: %q", stdout)
	}
	h.call("add", "203.0.113.7")
	h.call("add", "203.0.113.8")
	h.idle()
	var o struct {
		Error   string
		Notices []listed `json:"notifications"`
	}
	status, stdout, stderr := h.mail("queue", "--json")
	if err := json.Unmarshal([]byte(stdout), &o); status != 0 || err != nil || len(o.Notices) != 2 {
		t.Fatalf("%d, %v, %s, %+v", status, err, stderr, o)
	}
	if status, stdout, stderr := h.mail("queue", "--drop", o.Notices[0].ID); status != 0 ||
		stdout != "dropped 1\n" {
		t.Errorf("drop: %d, %q, %q", status, stdout, stderr)
	}
	if status, _, stderr := h.mail("queue", "--drop", "../../x"); status != 1 ||
		!strings.Contains(stderr, `there is no notice "../../x"`) {
		t.Errorf("drop: %d, %q", status, stderr)
	}
	s.Set(func(s *mailtest.Server) { s.OnData = nil })
	if status, stdout, stderr := h.mail("queue", "--retry", "all"); status != 0 ||
		stdout != "trying 1 again\n" {
		t.Errorf("retry: %d, %q, %q", status, stdout, stderr)
	}
	if m := s.Next(); !strings.HasSuffix(m.Subject, o.Notices[1].Address) {
		t.Errorf("subject %q", m.Subject)
	}
	h.idle()
	if h.left() != 0 {
		t.Errorf("%d left", h.left())
	}
	s.None()
}

func TestOtherWords(t *testing.T) {
	t.Parallel()
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf(""), "")
	for args, want := range map[string]string{
		"preview": "Subject: OSSEC Alert: Threat Blocked - 203.0.113.7\n", "preview --html": "<!DOCTYPE html>", "preview --digest": " addresses, ",
		"preview 203.0.113.9":         "To: ops@example.org\nSubject: OSSEC Alert: Threat Detected - 203.0.113.9\n\nNot blocked: ",
		"preview add - 203.0.113.9 -": "Threat Detected - 203.0.113.9\n",
		"template text":               "{{range .Standing}}", "queue --help": "--drop", "test": "sent a sample to 1\n", "test --to x@example.org": "recipient x@example.org accepted\n",
	} {
		if status, stdout, stderr := h.mail(strings.Fields(args)...); status != 0 || stderr != "" ||
			!strings.Contains(stdout, want) {
			t.Errorf("%s: %d, %q\n%s", args, status, stderr, stdout)
		}
	}
	if m := s.Next(); !strings.Contains(m.Text, "This is a sample.") {
		t.Errorf("text\n%s", m.Text)
	}
	s.Next()
	for args, want := range map[string]string{"frobnicate": `unknown command "frobnicate"`, "template x": "there is no template", "template": "one part", "queue --drop 1 --retry 1": "either",
		"flush x": "takes no argument", "--frob": `unknown option "--frob"`, "preview x": "not an IPv4", "test --to x": "no mail address"} {
		if status, _, stderr := h.mail(strings.Fields(args)...); status != 1 ||
			!strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %q", args, status, stderr)
		}
	}
	env, _, _ := h.env(h.tool())
	p := app.New(env, "ossec-ar")
	if summary, err := CheckMail(t.Context(), &p); err != nil ||
		!strings.HasPrefix(summary, "mail goes to 1 recipient and 0 routes by 127.0.0.1, port ") {
		t.Errorf("%q, %v", summary, err)
	}
	h.write(h.home.Conf(), strings.Replace(onlyOps, "192.0.2.1", "127.0.0.1:1", 1))
	h.write(string(h.home)+"/etc/active-response.toml", "[mail]\n")
	if _, err := CheckMail(t.Context(), &p); err == nil ||
		!strings.Contains(err.Error(), "trying the mail server: connecting to 127.0.0.1:1: ") {
		t.Errorf("%v", err)
	}
	h.write(
		string(h.home)+"/etc/active-response.toml",
		"[mail]\nca_file = \"/none\"\ngeo_files = [\"/none.mmdb\"]\ntext_template = \"/none.tmpl\"\nauth = \"x\"\n",
	)
	_, err := CheckMail(t.Context(), &p)
	for _, want := range []string{"reading ca_file: ", "opening the file of networks /none.mmdb: ", "broken template /none.tmpl: ", "mail.auth: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	s.None()
}

// What stands in a file of the queue reaches no terminal unescaped.
func TestQueueShowsNoEscapes(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	h.queueUp(newClock(), "203.0.113.7", "5712")
	for name, text := range map[string]string{"queue": `{"error":"\u001b[2J"}` + "\n" + `{"error":"550 \u001b[31mno\u009b","failed":"2026-11-23T08:33:59Z"}` + "\n"} {
		h.write(filepath.Join(notice.Mail.Queue(h.home), name), text)
	}
	for _, args := range [][]string{{"queue"}, {"queue", "--json"}, {"queue", "--drop", "all"}} {
		status, stdout, stderr := h.mail(args...)
		if status != 0 || strings.ContainsAny(stdout+stderr, "\x1b\x07") ||
			len(args) == 1 && !strings.Contains(stdout, `550 \x1b[31mno\u009b`) {
			t.Errorf("%v: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
}

// What keeps a flush from its work stands in the log, and nothing is done in a queue that could be
// somebody else's.
func TestFlushFailsInTheLog(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	c := newClock()
	c.add(-time.Minute) // settled
	h.queueUp(c, "203.0.113.7", "5712")
	tmp, queue := filepath.Join(notice.Mail.Queue(h.home), "queue.tmp"), filepath.Join(notice.Mail.Queue(h.home), "queue")
	if err := errors.Join(os.Mkdir(tmp, 0o700), os.Mkdir(queue, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"delivering mail: writing to the mail queue: ", "delivering mail: making the mail queue: "} {
		if status, _, stderr := h.mail("flush"); status != 1 || !strings.Contains(stderr, want) ||
			!strings.Contains(h.log(), " error - - - - - Failed: "+want) {
			t.Errorf("status %d, %q, log %q", status, stderr, h.log())
		}
		if err := os.Chmod(notice.Mail.Queue(h.home), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range [][]string{{"queue"}, {"queue", "--drop", "all"}, {"queue", "--retry", "all"}} {
		if status, stdout, stderr := h.mail(words...); status != 1 || stdout != "" ||
			!strings.Contains(stderr, "the mail queue: ") {
			t.Errorf("%v: status %d, %q, %q", words, status, stdout, stderr)
		}
	}
	if err := errors.Join(os.Chmod(notice.Mail.Queue(h.home), 0o700), os.RemoveAll(tmp), os.RemoveAll(queue)); err != nil {
		t.Fatal(err)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	s, _ := mailtest.New(t, false, false)
	h := newHouse(t, s.Conf(""), "[mail]\nlinger = \"0s\"\n")
	env, _, stderr := h.env(filepath.Join(h.home.Programs(), "response-stats"))
	p := app.New(env, "x")
	for i, r := range [][3]string{{"Report\r\nBcc: x@example.org", "seven\n", "<p>seven</p>"}, {"Text alone", "eight\n", ""}} {
		if err := notice.QueueReport(&p, notice.Mail, r[0], r[1], r[2], false); err != nil || stderr.Len() > 0 {
			t.Fatal(err, stderr)
		}
		got := s.Next()
		if want := strings.ReplaceAll(r[0], "\r\n", " "); got.Subject != want || got.Text != r[1] ||
			got.HTML != r[2] ||
			got.Header.Get("Bcc") != "" {
			t.Errorf("%d: %q\n%s\n%s", i, got.Subject, got.Text, got.HTML)
		}
	}
	h.idle()
	if !strings.Contains(h.log(), "/response-stats add - - - - - Email sent: Text alone\n") {
		t.Errorf("log\n%s", h.log())
	}
}
