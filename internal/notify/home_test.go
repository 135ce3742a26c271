package notify

import (
	"bytes"
	"context"
	"net/mail"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// TestMain lets the test binary be the program, as it starts itself to deliver.
func TestMain(m *testing.M) {
	if os.Getenv("NOTIFY_TEST_PROGRAM") != "" || len(os.Args) > 1 && os.Args[1] == deliverCommand {
		os.Exit(Main(app.OS()))
	}
	os.Exit(m.Run())
}

// house is a home in a folder of its own.
type house struct {
	t    *testing.T
	home ossec.Home
}

func newHouse(t *testing.T, conf, settings string) house {
	t.Helper()
	h := house{t, ossec.Home(t.TempDir())}
	h.write(h.home.Conf(), conf)
	h.write(h.home.Settings(), settings)
	t.Cleanup(h.idle)
	return h
}

// queue is the house's.
func (h house) queue() *queue {
	h.t.Helper()
	q, err := makeQueue(h.home.MailQueue())
	if err != nil {
		h.t.Fatal(err)
	}
	return q
}

// idle waits until no deliverer is at work.
func (h house) idle() {
	h.t.Helper()
	if _, err := os.Lstat(h.home.MailQueue()); err != nil {
		return
	}
	lock, err := h.queue().waitLock(time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = lock.Close() // it is only a lock
}

// process is the program as a process of its own.
func (h house) process(args ...string) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = h.invoked()
	cmd.Env = append(os.Environ(), "NOTIFY_TEST_PROGRAM=1", "GORACE=atexit_sleep_ms=10")
	return cmd
}

func (h house) write(path, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h house) invoked() string { return filepath.Join(h.home.Programs(), Name+".sh") }

// env is an outside in which the program is called with args.
func (h house) env(stdin string, args ...string) (app.Env, *bytes.Buffer, *bytes.Buffer) {
	out, errs := new(bytes.Buffer), new(bytes.Buffer)
	return app.Env{
		Args: append([]string{h.invoked()}, args...), Stdin: strings.NewReader(stdin), Stdout: out, Stderr: errs,
		Dir: "/", Now: time.Now, Proc: "/proc", ParentPID: 1,
	}, out, errs
}

// run calls the program in this process.
func (h house) run(stdin string, args ...string) (status int, stdout, stderr string) {
	env, out, errs := h.env(stdin, args...)
	status = Main(env)
	return status, out.String(), errs.String()
}

func (h house) log() string {
	text, _ := os.ReadFile(h.home.NotificationLog()) // none is ""
	return string(text)
}

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// deliverer works on the house's queue in this process by that clock.
func (h house) deliverer(c *clock) *deliverer {
	h.t.Helper()
	d := &deliverer{
		queue: h.queue(), home: h.home, now: c.Now, program: h.invoked(),
		log: func(lines []byte) { appendFile(h.t, h.home.NotificationLog(), lines) },
		send: func(ctx context.Context, s Settings, to []string, message []byte) (map[string]error, error) {
			return send(ctx, s, to, message, nil)
		},
	}
	d.begin()
	return d
}

func appendFile(t *testing.T, path string, data []byte) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
}

// queueUp puts a call into the queue.
func (h house) queueUp(c *clock, addr, rule string) {
	h.t.Helper()
	r := &arproto.Request{Action: arproto.Add, RuleID: rule}
	if addr != "" {
		r.Addr = netip.MustParseAddr(addr)
	}
	h.queueEvent(newEvent(r, h.invoked(), c.Now()))
}

func (h house) queueEvent(e event) {
	h.t.Helper()
	if err := h.queue().add(e); err != nil {
		h.t.Fatal(err)
	}
}

// step makes one step after the settle time has passed, and returns when the next is due.
func step(t *testing.T, d *deliverer, c *clock) time.Time {
	t.Helper()
	c.add(settleTime)
	next, err := d.step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// hold takes a lease as a response does.
func (h house) hold(response, name, addr string, since time.Time) {
	h.t.Helper()
	_, settle := lease.New(h.home.State(), response).Acquire(lease.Lease{
		Addr: netip.MustParseAddr(addr), Program: name, RuleID: "5712", Since: since, Renewed: since,
	}, "")
	if err := settle(); err != nil {
		h.t.Fatal(err)
	}
}

// waiting counts the notices that wait.
func (h house) waiting(state string) int {
	h.t.Helper()
	rows, _, err := h.queue().list()
	if err != nil {
		h.t.Fatal(err)
	}
	n := 0
	for _, r := range rows {
		if r.State == state {
			n++
		}
	}
	return n
}

func mustAddresses(t testing.TB, texts ...string) []*mail.Address {
	t.Helper()
	var list []*mail.Address
	for _, text := range texts {
		a, err := mail.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a)
	}
	return list
}
