package watch

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/app"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
	"github.com/ossec-ar/ossec-ar/internal/stats"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// host is a home with a log, of which watch shows what is added.
type host struct {
	*testing.T
	home     string
	now      time.Time
	terminal bool
	keyboard io.Reader
	filter   stats.Filter
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, home: t.TempDir(), now: time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)}
	if err := os.Mkdir(filepath.Join(h.home, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

const log = "logs/active-responses.log"

// line is one of the log: an address that was blocked.
func line(at time.Time, address string) string {
	return string(arlog.Entry{Time: at, Program: "/var/ossec/active-response/bin/firewall-drop", Status: arlog.StatusAdd,
		Addr: netip.MustParseAddr(address), AlertID: "1.1", RuleID: "5712",
		Message: arlog.Blocked(netip.MustParseAddr(address), "5712", "")}.Format())
}

func (h *host) append(name, text string) {
	h.Helper()
	file, err := os.OpenFile(filepath.Join(h.home, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		h.Fatal(err)
	}
	if err := file.Close(); err != nil {
		h.Fatal(err)
	}
}

// watching runs watch in the background; tick makes it look once and returns what it
// printed since.
type watching struct {
	h     *host
	ticks chan time.Time
	out   lockedBuffer
	err   bytes.Buffer
	ended chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.Reset()
	return b.String()
}

func (h *host) watch() *watching {
	w := &watching{h: h, ticks: make(chan time.Time), ended: make(chan error, 1)}
	p := app.New(app.Env{Stdin: h.keyboard, Stdout: &w.out, Stderr: &w.err, StdoutTerminal: h.terminal, Now: func() time.Time { return h.now },
		OssecHome: h.home}, "ossec-ar")
	watched := &watcher{p: &p, inForce: -1, query: stats.Query{Home: p.Home, Host: "web", Now: h.now, Top: shownAddresses,
		Log: filepath.Join(h.home, log), Filter: h.filter}}
	go func() { w.ended <- watched.run(h.Context(), w.ticks) }()
	return w
}

// tick looks twice: when the second tick is taken, the first look is over.
func (w *watching) tick() string {
	w.ticks <- time.Time{}
	w.ticks <- time.Time{}
	return w.out.take()
}

func (w *watching) end() {
	w.h.Helper()
	close(w.ticks)
	if err := <-w.ended; err != nil {
		w.h.Error(err)
	}
}

func TestWatchPlain(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(h.home, log)
	h.append(log, line(h.now.Add(-time.Hour), "203.0.113.1"))
	w := h.watch()
	expect := func(what, want string) {
		t.Helper()
		if got := w.tick(); got != want {
			t.Errorf("%s: printed %q, want %q", what, got, want)
		}
	}
	event := func(address string) string {
		return "2026-11-23 23:59:00  blocked      " + address + "      firewall-drop  rule 5712\n"
	}
	expect("at first", "today: 1 block, 0 unblocks, 0 skipped, 0 failed, 1 address\n")
	h.append(log, line(h.now, "203.0.113.2"))
	expect("one more", event("203.0.113.2"))
	half := line(h.now, "203.0.113.3")
	h.append(log, half[:40])
	expect("half a line", "")
	h.append(log, half[40:])
	expect("its other half", event("203.0.113.3"))
	// Rotated while more is written to the old one.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	expect("none there", "")
	h.append(log+".1", line(h.now, "203.0.113.4"))
	h.append(log, line(h.now, "203.0.113.5"))
	expect("a new one", event("203.0.113.4")+event("203.0.113.5"))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	expect("truncated", "")
	h.append(log, line(h.now, "203.0.113.6"))
	expect("anew", event("203.0.113.6"))
	// Of Wazuh's programs: shown when it is known to be carried out.
	const head = "2026/11/23 23:59:00 active-response/bin/firewall-drop: "
	h.append(log, head+"Starting\n"+head+`{"version":1,"command":"add","parameters":{"alert":{"rule":{"id":"5712"},"data":{"srcip":"203.0.113.7"}}}}`+"\n"+head+`{"command":"abort"}`+"\n"+head+"Aborted\n")
	expect("aborted", "")
	h.append(log, strings.Repeat("x", 2<<20))
	expect("a line without end", "")
	h.append(log, "\n"+line(h.now, "203.0.113.8"))
	expect("after it", event("203.0.113.8"))
	w.end()
}

func TestWatchFilters(t *testing.T) {
	h := newHost(t)
	h.append(log, line(h.now, "203.0.113.1")+line(h.now, "198.51.100.1"))
	h.filter.Networks, _ = stats.ParseNetworks([]string{"203.0.113.0/24"})
	w := h.watch()
	if got := w.tick(); got != "today: 1 block, 0 unblocks, 0 skipped, 0 failed, 1 address\n" {
		t.Errorf("%q", got)
	}
	h.append(log, line(h.now, "198.51.100.1"))
	if got := w.tick(); got != "" {
		t.Errorf("%q", got)
	}
	w.end()
}

func TestWatchWithoutLog(t *testing.T) {
	h := newHost(t)
	w := h.watch()
	if got := w.tick(); got != "today: 0 blocks, 0 unblocks, 0 skipped, 0 failed, 0 addresses\n" {
		t.Errorf("%q", got)
	}
	h.append(log, line(h.now, "203.0.113.9"))
	if got := w.tick(); !strings.Contains(got, "203.0.113.9") {
		t.Errorf("%q", got)
	}
	w.end()
	if got := w.err.String(); !strings.Contains(got, "no log yet: stat "+h.home+"/"+log+": no such file") {
		t.Errorf("said %q", got)
	}
}

// On a terminal the screen is drawn from its corner each time, and given back at the end.
func TestWatchScreen(t *testing.T) {
	h := newHost(t)
	h.terminal = true
	w := h.watch()
	if out := w.tick(); !strings.Contains(out, "No log yet: stat ") {
		t.Errorf("%q", out)
	}
	h.append(log, line(h.now, "203.0.113.1"))
	h.append(log, line(h.now, "203.0.113.2")+strings.Repeat("garbage\n", 3))
	out := w.tick()
	screen := out[strings.LastIndex(out, goHome)+len(goHome):]
	for _, want := range []string{
		"Active responses on web - Mon Nov 23 23:59:00 UTC 2026" + clearLine,
		"today: 2 blocks, 0 unblocks, 0 skipped, 0 failed, 2 addresses, 3 lines not" + clearLine,
		"readable; 0 in force now" + clearLine,
		"      1 203.0.113.2      last 23:59:00  rule 5712" + clearLine,
		"23:59:00 blocked     203.0.113.2     firewall-drop 5712" + clearLine,
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("no %q in %q", want, screen)
		}
	}
	if strings.Count(screen, "\r\n") >= 24 || !strings.HasSuffix(screen, clearRest) {
		t.Errorf("%q", screen)
	}
	w.end()
	if rest := w.out.take(); !strings.HasSuffix(rest, leaveScreen) {
		t.Errorf("ended with %q", rest)
	}
}

// q ends it, and the terminal is as before.
func TestWatchKeys(t *testing.T) {
	master, slave := pty(t)
	before, err := term.GetState(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	h.terminal, h.keyboard = true, slave
	w := h.watch()
	w.tick()
	if _, err := master.WriteString("xq"); err != nil {
		t.Fatal(err)
	}
	if err := <-w.ended; err != nil {
		t.Error(err)
	}
	if after, err := term.GetState(int(slave.Fd())); err != nil || *after != *before {
		t.Errorf("the terminal is left as %v, was %v (%v)", after, before, err)
	}
}

// pty returns the two ends of a terminal, see pts(4).
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal can be made: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no terminal can be made: %v", err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// A new day begins with nothing, and what happened at the end of the one before is shown,
// whether its lines are read with the first of the new day or after them.
func TestWatchMidnight(t *testing.T) {
	h := newHost(t)
	h.append(log, line(h.now, "203.0.113.1"))
	now := h.now
	var out bytes.Buffer
	w := &watcher{p: &app.Program{Env: app.Env{Stdout: &out}}}
	live, err := stats.Follow(stats.Query{Log: h.home + "/" + log}, func() time.Time { return now }, w.event)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	w.live = live
	before := summary(live.Report())
	look := func(what string, lines string, want ...string) {
		t.Helper()
		out.Reset()
		h.append(log, lines)
		if err := live.Look(); err != nil {
			t.Error(err)
		}
		var got []string
		for shown := range strings.Lines(out.String()) {
			got = append(got, strings.Fields(shown)[3])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: shown %q, want %q", what, got, want)
		}
	}
	midnight := stats.DayStart(h.now, 1)
	second := midnight.Add(-time.Second)
	head := func(at time.Time) string {
		return at.Format("2006/01/02 15:04:05") + " active-response/bin/firewall-drop: "
	}
	request := `{"version":1,"command":"add","parameters":{"alert":{"rule":{"id":"5712"},"data":{"srcip":"198.51.100.7"}}}}` + "\n"
	now = second
	look("a request that is open", head(second)+"Starting\n"+head(second)+request)
	now = midnight
	look("the first look of the day", head(midnight)+"Aborted\n"+line(second, "203.0.113.2")+line(midnight, "203.0.113.3")+line(second, "203.0.113.4"),
		"203.0.113.2", "203.0.113.3", "203.0.113.4")
	look("nothing new", "")
	look("late", line(second, "203.0.113.5")+line(midnight, "203.0.113.6"), "203.0.113.5", "203.0.113.6")
	if after := summary(live.Report()); !strings.HasPrefix(before, "today: 1 block,") || !strings.HasPrefix(after, "today: 2 blocks, 0 unblocks, 0 skipped, 0 failed, 2 addresses") {
		t.Errorf("before %s, after %s", before, after)
	}
	// Nobody looked for days.
	now = midnight.AddDate(0, 0, 3)
	look("after days", line(midnight.AddDate(0, 0, 1), "203.0.113.8")+line(now, "203.0.113.9"), "203.0.113.8", "203.0.113.9")
}

// Whatever stands in a log is no more than text on the screen.
func TestHostileText(t *testing.T) {
	h := newHost(t)
	h.terminal = true
	w := h.watch()
	w.tick()
	_, end, _ := strings.Cut(printabletest.Hostile, "</td><script>{{.Log}}") // a line of the screen is short
	word := strings.NewReplacer(" ", "_", "\n", "").Replace(end)
	h.append(log, strings.NewReplacer("/firewall-drop ", "/"+word+" ", " 5712 ", " "+word+" ").Replace(line(h.now, "203.0.113.7")))
	screen := w.tick()
	w.end()
	if !strings.Contains(screen, `\x1b[2J\x00`) {
		t.Errorf("%q", screen)
	}
	for _, own := range []string{enterScreen, leaveScreen, goHome, clearLine, clearRest, "\r"} {
		screen = strings.ReplaceAll(screen, own, "")
	}
	printabletest.Check(t, "the screen", screen)
}

// A long name is not cut within a character.
func TestShort(t *testing.T) {
	if got, want := short(strings.Repeat("x", 63)+"é"), strings.Repeat("x", 63); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
