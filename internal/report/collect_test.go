package report

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/stats"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// line is a block of an address at a time.
func line(at time.Time, address string) string {
	addr := netip.MustParseAddr(address)
	return string(arlog.Entry{
		Time: at, Program: "/var/ossec/active-response/bin/firewall-drop", Status: arlog.StatusAdd, Addr: addr,
		AlertID: "1795404477.1234", RuleID: "5712", Message: arlog.Blocked(addr, "5712", ""),
	}.Format())
}

// blocksIn returns the number of blocks in a report's first lines.
func blocksIn(t *testing.T, report string) (n int) {
	t.Helper()
	_, after, _ := strings.Cut(report, "Total blocks ")
	_, after, _ = strings.Cut(after, ": ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatalf("%v in %q", err, report)
	}
	return n
}

// A period in a large log is found whole though the clock went back by up to the slack,
// and without reading the rest.
func TestPeriodInLargeLog(t *testing.T) {
	h := newHost(t)
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	perDay := map[string]int{}
	at := h.now.AddDate(0, 0, -30)
	for back := time.Duration(0); at.Before(h.now); at = at.Add(time.Duration(random.IntN(200)) * time.Second) {
		if random.IntN(500) == 0 {
			back = time.Duration(random.Int64N(2*3600)) * time.Second
		} else if random.IntN(100) == 0 {
			back = 0
		}
		when := at.Add(-back)
		perDay[when.Format(time.DateOnly)]++
		b.WriteString(line(when, "203.0.113.7"))
		if random.IntN(1000) == 0 {
			b.WriteString(strings.Repeat("x", random.IntN(100_000)) + "\n")
		}
	}
	if b.Len() < 3<<20 {
		t.Fatalf("only %d bytes", b.Len())
	}
	h.write("logs/active-responses.log", b.String(), time.Time{})
	for day, want := range perDay {
		out := h.must("--date", day, "--look-back", "0")
		if got := blocksIn(t, out); got != want {
			t.Errorf("%s: %d blocks, want %d", day, got, want)
		}
	}
	q := stats.Query{Log: h.home + "/logs/active-responses.log", Period: stats.Today(h.now), Now: h.now}
	if r, err := q.Responses(); err != nil || r.Log.Lines > 2500 {
		t.Errorf("%v, read %d lines for one of 30 days", err, r.Log.Lines)
	}
}

// The look back is bounded unless asked for, and separates new addresses from returning ones.
func TestLookBack(t *testing.T) {
	h := newHost(t)
	var b strings.Builder
	today := stats.DayStart(h.now, 0)
	for i := range 120_000 { // 17 MB in the 20 days before
		b.WriteString(line(today.Add(-20*24*time.Hour+time.Duration(i)*14*time.Second), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
	}
	b.WriteString(line(today.Add(time.Hour), "10.0.0.1"))       // 20 days ago
	b.WriteString(line(today.Add(2*time.Hour), "10.1.212.1"))   // shortly before
	b.WriteString(line(today.Add(3*time.Hour), "198.51.100.1")) // never
	h.write("logs/active-responses.log", b.String(), time.Time{})
	for _, test := range []struct{ flag, want string }{
		{"", "3 different, 2 new, 1 returning (blocked since Nov 2"},
		{"30d", "3 different, 2 new, 1 returning (blocked since Nov  3 00:00 too)"}, // more than fit: a note says so
		{"1h", "3 different, 3 new, 0 returning (blocked since Nov 22 23:00 too)"},
		{"0", "3 different\n"},
	} {
		out := h.must("--date", "today", "--look-back", test.flag)
		if !strings.Contains(out, "Addresses: "+test.want) {
			t.Errorf("--look-back %q: want %q in\n%s", test.flag, test.want, out[:400])
		}
		if noted := strings.Contains(out, "too many addresses before the period"); noted != (test.flag == "30d") {
			t.Errorf("--look-back %q: %v", test.flag, noted)
		}
	}
}

func TestRotatedLogs(t *testing.T) {
	h := newHost(t)
	day := func(n int) time.Time { return stats.DayStart(h.now, n).Add(12 * time.Hour) }
	h.write("logs/active-responses.log", line(day(0), "10.0.0.1"), day(0))
	h.write("logs/active-responses.log.1", line(day(-1), "10.0.0.2"), day(-1))
	h.write("logs/active-responses.log.2.gz", line(day(-2), "10.0.0.3"), day(-2))
	h.write("logs/active-responses.log-20261120", line(day(-3), "10.0.0.4"), day(-3))
	h.write("logs/active-responses.log-20261119.gz", line(day(-4), "10.0.0.5"), day(-4))
	h.write("logs/active-responses/2026/Nov/ossec-active-responses-18.log.gz", line(day(-5), "10.0.0.6"), day(-5))
	h.write("logs/active-responses/2026/Oct/active-responses-10.log", line(day(-44), "10.0.0.7"), day(-44))
	// None of these counts.
	h.write("logs/active-responses.log.1.gz", line(day(-1), "10.0.0.2"), day(-1)) // being packed
	h.write("logs/active-responses.log.bak", line(day(-1), "10.0.0.99"), day(-1))
	h.write("logs/active-responses.log.3.xz", "xz", day(-3))
	if err := os.Link(h.home+"/logs/active-responses.log", h.home+"/logs/active-responses/2026/Nov/active-responses-23.log"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want int
	}{
		{[]string{"--date", "today"}, 1}, {[]string{"--yesterday"}, 1}, {[]string{"--date", "2026-11-21"}, 1}, {[]string{"--date", "2026-11-18"}, 1},
		{[]string{"--week"}, 6}, {[]string{"--all"}, 7}, {[]string{"--since", "2026-11-19", "--until", "2026-11-21"}, 3},
	} {
		out := h.must(test.args...)
		if got := blocksIn(t, out); got != test.want {
			t.Errorf("%q: %d blocks, want %d", test.args, got, test.want)
		}
		if !strings.Contains(out, "active-responses.log.3.xz is not read") {
			t.Errorf("%q: not a word of the .xz in\n%s", test.args, out)
		}
	}
	q := stats.Query{Log: h.home + "/logs/active-responses.log", Now: h.now}
	r, err := q.Responses()
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, f := range r.Log.Files {
		names = append(names, filepath.Base(f))
	}
	if got := strings.Join(names, " "); got != "active-responses-10.log ossec-active-responses-18.log.gz active-responses.log-20261119.gz active-responses.log-20261120 active-responses.log.2.gz active-responses.log.1 active-responses.log" {
		t.Errorf("read in the order %s", got)
	}
}

func TestBadInput(t *testing.T) {
	good := func(h *host) string { return line(h.now.Add(-time.Hour), "203.0.113.7") }
	for _, test := range []struct {
		name   string
		make   func(h *host)
		status int
		blocks int
		want   string // in the report or on standard error
	}{
		{"no log", func(*host) {}, 0, 0, "Note: %s/logs/active-responses.log does not exist: no response has written to it yet"},
		{"an empty log", func(h *host) { h.write("logs/active-responses.log", "", time.Time{}) }, 0, 0, ""},
		{"a folder in its place", func(h *host) { h.write("logs/active-responses.log/x", "", time.Time{}) }, 1, 0, "not a plain file"},
		{"a pipe in its place", func(h *host) {
			h.write("logs/x", "", time.Time{})
			_ = syscall.Mkfifo(h.home+"/logs/active-responses.log", 0o600)
		}, 1, 0, "not a plain file"},
		{"garbage", func(h *host) {
			h.write("logs/active-responses.log", good(h)+"\x00\xff\n\n\nnonsense\n"+good(h), time.Time{})
		}, 0, 2, "Lines that could not be read: 2"},
		{"a line of 1 MiB and more", func(h *host) {
			h.write("logs/active-responses.log", good(h)+strings.Repeat("x", 1<<20)+"\n"+good(h)+strings.Repeat("y", 5<<20)+"\n"+good(h), time.Time{})
		}, 0, 3, "Lines that could not be read: 2"},
		{"zeros of a crash", func(h *host) {
			h.write("logs/active-responses.log", good(h)+strings.Repeat("\x00", 700_000)+good(h)+good(h), time.Time{})
		}, 0, 3, ""},
		{"no line end at the end", func(h *host) {
			h.write("logs/active-responses.log", good(h)+strings.TrimSuffix(good(h), "\n"), time.Time{})
		}, 0, 2, ""},
		{"CRLF", func(h *host) {
			h.write("logs/active-responses.log", strings.ReplaceAll(good(h)+good(h), "\n", "\r\n"), time.Time{})
		}, 0, 2, ""},
		{"the clock went back", func(h *host) {
			h.write("logs/active-responses.log", good(h)+line(h.now.Add(-20*time.Hour), "203.0.113.7")+line(h.now.AddDate(-30, 0, 0), "203.0.113.7"), time.Time{})
		}, 0, 2, "Note: the clock went back by"},
		{"a packed log that is none", func(h *host) {
			h.write("logs/active-responses.log", good(h), time.Time{})
			_ = os.WriteFile(h.home+"/logs/active-responses.log.1.gz", []byte("no gzip"), 0o600)
		}, 1, 1, "active-responses.log.1.gz: unpacking: "},
		{"a packed log that was cut", func(h *host) {
			h.write("logs/active-responses.log", good(h), time.Time{})
			path := h.write("logs/active-responses.log.1.gz", strings.Repeat(good(h), 1000), time.Time{})
			info, _ := os.Stat(path)
			_ = os.Truncate(path, info.Size()-5)
			_ = os.Chtimes(path, h.now, h.now)
		}, 1, 1001, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHost(t)
			test.make(h)
			status, stdout, stderr := h.run("--date", "today")
			want := strings.ReplaceAll(test.want, "%s", h.home)
			if status != test.status || blocksIn(t, stdout) != test.blocks || !strings.Contains(stdout+stderr, want) || (status == 0) != (stderr == "") {
				t.Errorf("status %d, stderr %q, want %q in\n%s", status, stderr, want, stdout)
			}
		})
	}
}

// A log that may not be read is a failure, and the rotated one beside it is counted.
func TestUnreadableLog(t *testing.T) {
	h := newHost(t)
	good := line(h.now.Add(-time.Hour), "203.0.113.7")
	path := h.write("logs/active-responses.log", good, time.Time{})
	h.write("logs/active-responses.log.1", good+good, time.Time{})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // root may read all: this thread gives that up
		for dir := h.home; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		const nobody = 65534
		runtime.LockOSThread() // never unlocked: the thread ends with the test
		if err := unix.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Setfsuid(0) }() // for the folder to be removed
	}
	status, stdout, stderr := h.run("--date", "today")
	if status != 1 || blocksIn(t, stdout) != 2 || !strings.Contains(stderr, "reading "+path+": ") || !strings.Contains(stderr, "permission denied") {
		t.Errorf("status %d, stderr %q in\n%s", status, stderr, stdout)
	}
}

// A report that cannot be appended is a failure.
func TestAppendFails(t *testing.T) {
	h := newHost(t).sample()
	if err := os.Symlink("/etc/passwd", h.home+"/logs/response-stats.log"); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := h.run()
	if status != 1 || !strings.Contains(stderr, "appending the report: ") || !strings.Contains(stderr, "not a plain file") {
		t.Errorf("status %d, %q", status, stderr)
	}
}

// Runs at once append whole reports.
func TestRunsAtOnce(t *testing.T) {
	const runs = 20
	h := newHost(t).sample()
	h.must()
	one := h.read("logs/response-stats.log")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all []*exec.Cmd
	for range runs - 1 {
		cmd := exec.Command(self)
		cmd.Args = []string{h.args0}
		cmd.Env = append(os.Environ(), runAt+"="+h.now.Format(time.RFC3339))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if got := h.read("logs/response-stats.log"); got != strings.Repeat(one, runs) {
		t.Errorf("%d bytes, want %d times %d", len(got), runs, len(one))
	}
	info, err := os.Stat(h.home + "/logs/response-stats.log")
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", err, info.Mode())
	}
}

// On a terminal the report is shown too.
func TestTerminal(t *testing.T) {
	h := newHost(t).sample()
	h.terminal = true
	if out := h.must(); out != h.read("logs/response-stats.log") {
		t.Errorf("printed\n%s", out)
	}
	if out := h.must("--yesterday", "--append"); blocksIn(t, out) != 2 {
		t.Errorf("printed\n%s", out)
	}
}

func TestLookBackFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{"": -1, "0": 0, "48h": 48 * time.Hour, "7d": 7 * 24 * time.Hour} {
		if got, ok := parseLength(text); !ok || got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, text := range []string{"-1h", "today", "x", "2026-11-23"} {
		if got, ok := parseLength(text); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Of one old event, all logs hold no more than its hour.
func TestAllOverOneOldEvent(t *testing.T) {
	h := newHost(t)
	h.write("logs/active-responses.log", line(h.now.AddDate(-9, 0, 0), "203.0.113.7"), time.Time{})
	if out := h.must("--all"); !strings.Contains(out, "\nBy hour:\n  Thu 23:00       1 ########################################\n") || strings.Count(out, "\n") > 15 {
		t.Errorf("%s", out)
	}
}
