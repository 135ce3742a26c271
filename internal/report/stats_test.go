package report

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

var update = flag.Bool("update", false, "write the golden files anew")

// runAt makes the test binary the program itself, at that time.
const runAt = "AR_STATS_RUN_AT"

func TestMain(m *testing.M) {
	if text := os.Getenv(runAt); text != "" {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err)
		}
		env := app.OS()
		env.Now = func() time.Time { return now }
		os.Exit(run(app.New(env, Name), Sending{}, "web"))
	}
	os.Exit(m.Run())
}

// host is an installation in a folder, and a fixed clock.
type host struct {
	t              *testing.T
	home           string
	now            time.Time
	args0          string
	stdout, stderr bytes.Buffer
	terminal       bool
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, home: filepath.Join(t.TempDir(), "ossec"), now: time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)}
	h.args0 = filepath.Join(h.home, "active-response/bin/response-stats.sh")
	return h
}

// write puts a file under the home, packed when its name ends in .gz, last changed at the
// given time, or now for the zero time.
func (h *host) write(name, text string, changed time.Time) string {
	h.t.Helper()
	path := filepath.Join(h.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	data := []byte(text)
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(data)
		_ = w.Close()
		data = b.Bytes()
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		h.t.Fatal(err)
	}
	if changed.IsZero() {
		changed = h.now
	}
	if err := os.Chtimes(path, changed, changed); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// run runs the program and returns its status and output.
func (h *host) run(args ...string) (status int, stdout, stderr string) {
	h.t.Helper()
	h.stdout.Reset()
	h.stderr.Reset()
	status = run(app.New(h.env(&h.stdout, args...), Name), Sending{}, "web")
	return status, h.stdout.String(), h.stderr.String()
}

func (h *host) env(stdout io.Writer, args ...string) app.Env {
	return app.Env{
		Args: append([]string{h.args0}, args...), Stdin: strings.NewReader(""), Stdout: stdout, Stderr: &h.stderr,
		StdoutTerminal: h.terminal, Dir: "/", Now: func() time.Time { return h.now }, Proc: "/proc",
	}
}

// must runs the program and returns what it printed; it must not fail or complain.
func (h *host) must(args ...string) string {
	h.t.Helper()
	status, stdout, stderr := h.run(args...)
	if status != 0 || stderr != "" {
		h.t.Fatalf("%q: status %d, stderr %q", args, status, stderr)
	}
	return stdout
}

func (h *host) read(name string) string {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.home, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// golden compares with testdata/name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// sample is a day in all dialects, with what must not be counted.
func (h *host) sample() *host {
	h.t.Helper()
	data, err := os.ReadFile("testdata/active-responses.log")
	if err != nil {
		h.t.Fatal(err)
	}
	h.write("logs/active-responses.log", string(data), time.Time{})
	alerts, err := os.ReadFile("testdata/alerts.log")
	if err != nil {
		h.t.Fatal(err)
	}
	h.write("logs/alerts/alerts.log", string(alerts), time.Time{})
	return h
}
