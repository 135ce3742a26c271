package kernel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// mailHouse is email-notification with a mail server of the kind that is a program: it
// keeps what it is given and ends as it is told.
type mailHouse struct {
	t             *testing.T
	home, program string
	sendmail      string // the folder of the mail server
}

func newMailHouse(t *testing.T) mailHouse {
	t.Helper()
	bin := buildPrograms(t)
	// Whether one who is whitelisted is blocked need not be waited for.
	configure(t, bin, "[mail]\nlinger = \"0s\"\ncoalesce = \"0s\"\nreverse_name = false\n[whitelist]\nentries = [\"203.0.113.0/24\"]\n")
	h := mailHouse{t, home(bin), filepath.Join(bin, "email-notification.sh"), t.TempDir()}
	conf := "<ossec_config><global><email_to>ops@example.org</email_to><email_from>ossec@web.example.org</email_from>" +
		"<smtp_server>" + h.sendmail + "/sendmail</smtp_server><email_maxperhour>1000000</email_maxperhour></global></ossec_config>\n"
	script := "#!/bin/sh\n/bin/cat >>" + h.sendmail + "/mails\nexit \"$(/bin/cat " + h.sendmail + "/status)\"\n"
	must(t, errors.Join(os.WriteFile(filepath.Join(h.home, "etc/ossec.conf"), []byte(conf), 0o600),
		os.WriteFile(h.sendmail+"/sendmail", []byte(script), 0o755)))
	h.ends(0)
	return h
}

// ends sets the exit status of the mail server.
func (h mailHouse) ends(status int) {
	h.t.Helper()
	must(h.t, os.WriteFile(h.sendmail+"/status", fmt.Appendln(nil, status), 0o600))
}

// mail runs ossec-ar mail and returns what it says.
func (h mailHouse) mail(words ...string) (string, error) {
	h.t.Helper()
	var here Host
	return here.Try(h.t, exec.Command(filepath.Join(h.home, "bin/ossec-ar"), append([]string{"mail"}, words...)...))
}

// retry has all that waits be tried again, and waits for that.
func (h mailHouse) retry() {
	h.t.Helper()
	if out, err := h.mail("queue", "--retry", "all"); err != nil {
		h.t.Errorf("mail queue --retry all: %v %s", err, out)
	}
	h.idle()
}

// idle waits until nobody delivers.
func (h mailHouse) idle() {
	h.t.Helper()
	lock, err := os.OpenFile(filepath.Join(h.home, "var/active-response/mail/deliver.lock"), os.O_RDWR, 0)
	must(h.t, err)
	must(h.t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	must(h.t, lock.Close())
}

var subjectLine = regexp.MustCompile(`(?m)^Subject: OSSEC Alert: [A-Za-z ]+ - ([0-9.]+)\r?$`)

// mails counts the mails about each address.
func (h mailHouse) mails() map[string]int {
	h.t.Helper()
	text, err := os.ReadFile(h.sendmail + "/mails")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	count := map[string]int{}
	for _, m := range subjectLine.FindAllSubmatch(text, -1) {
		count[string(m[1])]++
	}
	return count
}

// left counts what is in the queue.
func (h mailHouse) left() int {
	h.t.Helper()
	out, err := h.mail("queue", "--json")
	must(h.t, err)
	return strings.Count(out, `"state": `)
}

// TestMailThousandAtOnce: all calls exit 0, and there is one mail about each address.
func TestMailThousandAtOnce(t *testing.T) {
	if !Isolated(t) {
		return
	}
	const n = 1000
	h := newMailHouse(t)
	storm(t, h.program, "add", n)
	for end := time.Now().Add(5 * patience); h.left() > 0 && time.Now().Before(end); {
		h.idle() // which may keep a call from starting the deliverer
		if out, err := h.mail("flush"); err != nil || strings.Contains(out, "failed") {
			t.Errorf("mail flush: %v %s", err, out)
		}
	}
	mails := h.mails()
	if len(mails) != n {
		t.Errorf("there are mails about %d addresses, want %d", len(mails), n)
	}
	for addr, count := range mails {
		if count != 1 {
			t.Errorf("%d mails about %s", count, addr)
		}
	}
	if left := h.left(); left > 0 {
		t.Errorf("%d are left in the queue", left)
	}
}

// TestMailFullDisk: a call that cannot be queued says so and leaves nothing half-written;
// what was queued before goes once and is not lost; and with room all is as before.
func TestMailFullDisk(t *testing.T) {
	if !Isolated(t) {
		return
	}
	h := newMailHouse(t)
	fill := smallDisk(t, filepath.Join(h.home, "var"))
	var here Host
	h.ends(75) // try again later
	for _, addr := range []string{"203.0.113.1", "203.0.113.2"} {
		respond(t, h.program, "add", "-", addr, "-", "5712")
		h.idle()
	}
	attempts := len(h.mails())
	must(t, os.Remove(h.sendmail+"/mails"))
	if n := h.left(); n != 2 || attempts == 0 {
		t.Fatalf("%d in the queue after %d attempts", n, attempts)
	}

	makeRoom := fill()
	for range 2 {
		out, err := here.Try(t, exec.Command(h.program, "add", "-", "203.0.113.3", "-", "5712"))
		if err == nil || !strings.Contains(out, "writing to the mail queue: ") || !strings.Contains(out, "no space left on device") {
			t.Errorf("add with a full disk: %v, %q", err, out)
		}
	}
	if n := h.left(); n != 2 {
		t.Errorf("%d are in the queue, want 2", n)
	}
	log, err := os.ReadFile(filepath.Join(h.home, "logs/notifications.log"))
	if err != nil || strings.Count(string(log), " error - 203.0.113.3 - 5712 - Failed: writing to the mail queue: ") != 2 {
		t.Errorf("the log, %v:\n%s", err, log)
	}

	// The server is back, the disk still full: what waits goes, and not again and again.
	h.ends(0)
	h.retry()
	for range 3 {
		_, _ = h.mail("flush") // it may report the disk
	}
	for addr, count := range h.mails() {
		if count != 1 {
			t.Errorf("%d mails about %s went with a full disk", count, addr)
		}
	}
	makeRoom()
	h.retry()
	respond(t, h.program, "add", "-", "203.0.113.4", "-", "5712")
	h.idle()
	mails := h.mails()
	for _, addr := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.4"} {
		if mails[addr] != 1 {
			t.Errorf("%d mails about %s, want 1", mails[addr], addr)
		}
	}
	if n := h.left(); len(mails) != 3 || n > 0 {
		t.Errorf("mails %v, %d left in the queue", mails, n)
	}
}

// deferring is a mail server that puts off one recipient and takes mail for all others.
type deferring struct {
	mu    sync.Mutex
	later string
	took  map[string]int // mails by recipient
}

func (d *deferring) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &deferringSession{server: d}, nil
}

type deferringSession struct {
	server *deferring
	to     []string
}

func (s *deferringSession) Reset()                               { s.to = nil }
func (s *deferringSession) Logout() error                        { return nil }
func (s *deferringSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *deferringSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if to == s.server.later {
		return &smtp.SMTPError{Code: 450, Message: "greylisted"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *deferringSession) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	for _, to := range s.to {
		s.server.took[to]++
	}
	return err
}

// set says whom to put off, "" for nobody, and returns how many mails each recipient got.
func (d *deferring) set(later string) map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.later = later
	return maps.Clone(d.took)
}

// TestMailFullDiskOneDeferred: where the queue can take nothing more and the server puts one
// recipient off, the others get the mail once, and that one gets it in the end.
func TestMailFullDiskOneDeferred(t *testing.T) {
	if !Isolated(t) {
		return
	}
	h := newMailHouse(t)
	fill := smallDisk(t, filepath.Join(h.home, "var"))
	conf := filepath.Join(h.home, "etc/ossec.conf")
	replace := func(old, with string) {
		text, err := os.ReadFile(conf)
		must(t, err)
		must(t, os.WriteFile(conf, []byte(strings.Replace(string(text), old, with, 1)), 0o600))
	}
	replace("<email_to>", "<email_to>second@example.org,")
	h.ends(75)
	respond(t, h.program, "add", "-", "203.0.113.1", "-", "5712")
	h.idle()
	makeRoom := fill()

	server := &deferring{later: "second@example.org", took: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	running := smtp.NewServer(server)
	go func() { _ = running.Serve(l) }() // until the test ends
	t.Cleanup(func() { _ = running.Close() })
	replace("<smtp_server>"+h.sendmail+"/sendmail", "<smtp_server>"+l.Addr().String())
	for range 3 {
		h.retry()
	}
	makeRoom()
	if got, want := server.set(""), map[string]int{"ops@example.org": 1}; !maps.Equal(got, want) {
		t.Errorf("with a full disk: mails %v, want %v", got, want)
	}
	h.retry()
	if got, want := server.set(""), map[string]int{"ops@example.org": 1, "second@example.org": 1}; !maps.Equal(got, want) || h.left() > 0 {
		t.Errorf("mails %v, want %v; %d left in the queue", got, want, h.left())
	}
}

// TestMailLogFaults is TestLogFaults for the log of the notifications.
func TestMailLogFaults(t *testing.T) {
	if !Isolated(t) {
		return
	}
	h := newMailHouse(t)
	logFaults(t, h.program, filepath.Join(h.home, "logs/notifications.log"), func(addr, _ string) {
		respond(t, h.program, "add", "-", addr, "-", "5712") // who writes the log is the deliverer, whom nobody hears
		h.idle()
		if got := h.mails()[addr]; got != 1 {
			t.Errorf("%d mails about %s", got, addr)
		}
	})
}

// TestMailConfFaults: with an ossec.conf that has the settings somewhere in it the mail
// goes; with one that cannot be read the call says so and ends with 1.
func TestMailConfFaults(t *testing.T) {
	if !Isolated(t) {
		return
	}
	h := newMailHouse(t)
	conf := filepath.Join(h.home, "etc/ossec.conf")
	sound, err := os.ReadFile(conf)
	must(t, err)
	text := func(text string) func() error { return func() error { return os.WriteFile(conf, []byte(text), 0o600) } }
	var here Host
	for i, tt := range []struct {
		name string
		put  func() error
		told string // "" when the mail goes
	}{
		{"10 MB", text(strings.Repeat("<!-- a comment of some fifty characters a line -->\n", 200_000) + string(sound)), ""},
		{"cut off", text(string(sound) + "<ossec_config><global><email_"), ""},
		{"missing", func() error { return nil }, "mail is not set up"},
		{"no XML", text(strings.Repeat("\x00\xff<&", 1000)), "mail is not set up"},
		{"a folder", func() error { return os.Mkdir(conf, 0o755) }, "ossec.conf: is a directory"},
		{"a pipe", func() error { return unix.Mkfifo(conf, 0o600) }, "ossec.conf is no plain file"},
	} {
		must(t, os.RemoveAll(conf))
		must(t, tt.put())
		addr := fmt.Sprintf("203.0.113.%d", i)
		out, err := here.Try(t, exec.Command(h.program, "add", "-", addr, "-", "5712"))
		if (err == nil) != (tt.told == "") || !strings.Contains(out, tt.told) || tt.told == "" && out != "" {
			t.Errorf("%s: %v, %.500q; want %q", tt.name, err, out, tt.told)
		}
		h.idle()
		if got := h.mails()[addr]; (got == 1) != (tt.told == "") {
			t.Errorf("%s: %d mails", tt.name, got)
		}
	}
	if left := h.left(); left > 0 {
		t.Errorf("%d are left in the queue", left)
	}
}

// TestMailSixtyThousand: 60,000 events that waited go in seconds and little memory: the addresses that
// came most often with their alerts, the others counted.
func TestMailSixtyThousand(t *testing.T) {
	if !Isolated(t) {
		return
	}
	const events, addresses = 60_000, 20_000
	h := newMailHouse(t)
	conf, err := os.ReadFile(filepath.Join(h.home, "etc/ossec.conf"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.home, "etc/ossec.conf"), bytes.Replace(conf, []byte("1000000"), []byte("12"), 1), 0o600))
	disk := filepath.Join(h.home, "var")
	must(t, errors.Join(os.MkdirAll(disk, 0o750), unix.Mount("tmpfs", disk, "tmpfs", 0, "mode=750"))) // where syncing is quick
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })                                     // it goes with the namespace otherwise
	box, err := outbox.Make(filepath.Join(h.home, "var/active-response/mail"))
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(h.home, "logs/alerts"), 0o755))
	alerts, err := os.Create(filepath.Join(h.home, "logs/alerts/alerts.log"))
	must(t, err)
	w := bufio.NewWriter(alerts)
	begin := time.Now().Add(-time.Hour)
	for i := range events {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i % addresses >> 8), byte(i % addresses)})
		if i%10 == 0 {
			addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i % 100)}) // comes often
		}
		at := begin.Add(time.Duration(i) * time.Millisecond)
		id := fmt.Sprintf("%d.%d", at.Unix(), i)
		fmt.Fprintf(w, "** Alert %s: - sshd,\n2026 Nov 23 08:33:59 web->/var/log/auth.log\nRule: 5712 (level 10) -> 'Brute force'\n"+
			"Src IP: %s\n%s\n\n", id, addr, strings.Repeat("Failed password for root ", 10))
		n := notice.Of(&arproto.Request{Action: arproto.Add, Addr: addr, RuleID: "5712", AlertID: id}, at)
		item, err := n.Item(h.program, at)
		must(t, err)
		must(t, box.Add(item, notice.Shorten))
	}
	must(t, errors.Join(w.Flush(), alerts.Close()))
	flush := exec.Command(filepath.Join(h.home, "bin/ossec-ar"), "mail", "flush")
	begin = time.Now()
	if out, err := flush.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took, size := time.Since(begin), flush.ProcessState.SysUsage().(*syscall.Rusage).Maxrss>>10 // with its children
	t.Logf("%d events went in %s, %d MiB", events, took, size)
	if took > 30*time.Second || size > 64 {
		t.Errorf("it took %s, %d MiB", took, size)
	}
	text, err := os.ReadFile(h.sendmail + "/mails")
	must(t, err)
	for _, want := range []string{"Subject: OSSEC Alert: 2000 addresses", "198.51.100.10 ", "more alerts came in than there was room for"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the mail lacks %q", want)
		}
	}
	if n := h.left(); n != 0 {
		t.Errorf("%d are left", n)
	}
}
