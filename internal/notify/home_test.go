package notify

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/confine"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// TestMain lets the test binary be email-notification, and the ossec-ar that this starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == confine.Word {
		os.Exit(Serve())
	}
	switch strings.TrimSuffix(filepath.Base(os.Args[0]), ".sh") {
	case notice.Mail.Program:
		os.Exit(notice.Main(app.OS(), notice.Mail))
	case notice.Chat.Program:
		os.Exit(notice.Main(app.OS(), notice.Chat))
	case "ossec-ar":
		os.Exit(tool(app.OS()))
	}
	os.Exit(m.Run())
}

// tool is an ossec-ar with the words of the channels alone.
func tool(env app.Env) int {
	p := app.New(env, "ossec-ar")
	p.Hint = Hint
	line := command.Line{Program: &p}
	frame := line.App()
	frame.Commands = Commands(&p)
	return line.Run(context.Background(), frame, p.Arguments())
}

// house is a home in a folder of its own, with both programs.
type house struct {
	t    *testing.T
	home ossec.Home
}

func newHouse(t *testing.T, conf, settings string) house {
	t.Helper()
	h := house{t, ossec.Home(t.TempDir())}
	h.write(h.home.Conf(), conf)
	h.write(string(h.home)+"/etc/active-response.toml", settings)
	self, err := os.Executable()
	for _, path := range []string{h.invoked(), h.chatter(), h.tool()} {
		err = errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(self, path))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.idle)
	return h
}

func (h house) invoked() string { return filepath.Join(h.home.Programs(), notice.Mail.Program+".sh") }
func (h house) chatter() string { return filepath.Join(h.home.Programs(), notice.Chat.Program+".sh") }
func (h house) tool() string    { return filepath.Join(string(h.home), "bin/ossec-ar") }

func (h house) write(path, text string) {
	h.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

func (h house) box() *outbox.Box {
	h.t.Helper()
	box, err := outbox.Make(notice.Mail.Queue(h.home))
	if err != nil {
		h.t.Fatal(err)
	}
	return box
}

func (h house) lock() *os.File {
	h.t.Helper()
	lock, err := h.box().Lock(time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	return lock
}

// idle waits until no deliverer is at work.
func (h house) idle() {
	h.t.Helper()
	for _, channel := range notice.Channels {
		box, err := outbox.Open(channel.Queue(h.home))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		var lock *os.File
		if err == nil {
			lock, err = box.Lock(time.Minute)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		_ = lock.Close() // it is only a lock
	}
}

// process is a program of the house as a process of its own.
func (h house) process(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=10", "OSSEC_HOME="+string(h.home))
	return cmd
}

// call runs email-notification, as a daemon does or a person.
func (h house) call(args ...string) {
	h.t.Helper()
	if out, err := h.process(h.invoked(), args...).CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
}

// env is an outside in which a program of this process runs.
func (h house) env(args ...string) (env app.Env, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return app.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
		Dir: "/", OssecHome: string(h.home), Now: time.Now, Proc: "/proc", ParentPID: 1,
	}, stdout, stderr
}

// mail runs a word of `ossec-ar mail` in this process, and chat one of `ossec-ar chat`.
func (h house) mail(words ...string) (status int, stdout, stderr string) {
	return h.run(append([]string{"mail"}, words...)...)
}

func (h house) chat(words ...string) (status int, stdout, stderr string) {
	return h.run(append([]string{"chat"}, words...)...)
}

func (h house) run(words ...string) (status int, stdout, stderr string) {
	env, out, errs := h.env(append([]string{h.tool()}, words...)...)
	status = tool(env)
	return status, out.String(), errs.String()
}

func (h house) log() string {
	text, _ := os.ReadFile(h.home.NotificationLog()) // none is ""
	return string(text)
}

// clock is a time that only the test moves.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time      { return c.now }
func (c *clock) add(d time.Duration) { c.now = c.now.Add(d) }

// office works on the house's queue in this process by that clock.
func (h house) office(c *clock) *office {
	env, _, _ := h.env(h.invoked())
	env.Now = c.Now
	p := app.New(env, "x")
	return newOffice(&p, notice.Mail)
}

// look has an office do what is due.
func (h house) look(o *office) {
	h.t.Helper()
	if err := outbox.NewDeliverer(h.box(), o, o.Now).Run(h.t.Context(), h.lock(), 0); err != nil {
		h.t.Fatal(err)
	}
}

// step looks after the settle time has passed.
func (h house) step(o *office, c *clock) {
	h.t.Helper()
	c.add(settleTime)
	h.look(o)
}

// queueUp puts a call into the queue.
func (h house) queueUp(c *clock, addr, rule string) {
	h.t.Helper()
	r := arproto.Request{Action: arproto.Add, RuleID: rule}
	if addr != "" {
		r.Addr = netip.MustParseAddr(addr)
	}
	h.queueRequest(c, r)
}

func (h house) queueRequest(c *clock, r arproto.Request) {
	h.t.Helper()
	n := notice.Of(&r, c.Now())
	item, err := n.Item(h.invoked(), c.Now())
	if err == nil {
		err = h.box().Add(item, notice.Shorten)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// hold takes a lease as a response does.
func (h house) hold(response, name, addr string, since time.Time) {
	h.t.Helper()
	if err := lease.New(h.home.State(), response).Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: target.MustParse(addr), Program: name, RuleID: "5712", Since: since, Renewed: since})
	}); err != nil {
		h.t.Fatal(err)
	}
}

// release gives a lease back.
func (h house) release(response, name, addr string) {
	h.t.Helper()
	if err := lease.New(h.home.State(), response).Update(func(tx *lease.Tx) error {
		return tx.Delete(target.MustParse(addr), name)
	}); err != nil {
		h.t.Fatal(err)
	}
}

// left counts what is in the queue.
func (h house) left() int {
	h.t.Helper()
	items, _, err := h.box().List(time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return len(items)
}

// onlyOps mails to one, by a server that is not there.
const onlyOps = "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>192.0.2.1</smtp_server></global></ossec_config>"
