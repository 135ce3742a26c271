package hostsdeny

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// The test binary started with this in its environment is a process that edits
// a file: "block FILE LOCK ADDRESS...", "unblock ..." or "forever ...".
const roleVariable = "HOSTSDENY_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(strings.Fields(role)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// play waits until standard input ends and then does what the role says.
func play(role []string) error {
	e := New(Options{Path: role[1], LockPath: role[2], LockWait: time.Minute})
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	ctx := context.Background()
	for again := true; again; again = role[0] == "forever" {
		for _, text := range role[3:] {
			addr := target.MustParse(text)
			if role[0] != "unblock" {
				if _, err := e.Block(ctx, addr, enforcer.Unknown); err != nil {
					return err
				}
			}
			if role[0] == "forever" {
				fmt.Print(".") // one for each edit: the parent counts them
			}
			if role[0] != "block" {
				if err := e.Unblock(ctx, addr); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func player(e *Enforcer, verb string, addrs ...target.Target) *exec.Cmd {
	role := []string{verb, e.file.Path, e.file.LockPath}
	for _, addr := range addrs {
		role = append(role, addr.String())
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+strings.Join(role, " "), "GORACE=atexit_sleep_ms=10")
	return cmd
}

// TestProcessesAtOnce: 200 adds and then 200 deletes, each a process of its own,
// all let go at the same moment. Each has a home of its own, as OSSEC and Wazuh have.
func TestProcessesAtOnce(t *testing.T) {
	modes := map[string]func(*testing.T, string) (*Enforcer, string){
		"replaced": newFile, "in place": newInPlace,
	}
	for name, newMode := range modes {
		t.Run(name, func(t *testing.T) {
			e, path := newMode(t, plain)
			stop := watch(t, path)
			count := 200
			if name == "in place" {
				count = 60
			}
			var addrs []target.Target
			for i := range count {
				addrs = append(addrs, target.Of(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})))
			}
			runAtOnce(t, e, "block", addrs)
			listing, err := e.List(t.Context())
			if err != nil || len(listing.Blocks) != len(addrs) {
				t.Errorf("%d of %d entries stand (%v)", len(listing.Blocks), len(addrs), err)
			}
			runAtOnce(t, e, "unblock", addrs)
			stop()
			if name == "replaced" {
				wantFile(t, path, plain)
			}
			wantAlone(t, path)
			if listing, err := e.List(t.Context()); err != nil || len(listing.Blocks) > 0 {
				t.Errorf("%v (%v) are left over", listing.Blocks, err)
			}
		})
	}
}

func runAtOnce(t *testing.T, e *Enforcer, verb string, addrs []target.Target) {
	t.Helper()
	gate, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var cmds []*exec.Cmd
	var stderr []*bytes.Buffer
	for _, addr := range addrs {
		home := *e
		home.file.LockPath = filepath.Join(t.TempDir(), "lock")
		cmd := player(&home, verb, addr)
		said := new(bytes.Buffer)
		cmd.Stdin, cmd.Stderr = gate, said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds, stderr = append(cmds, cmd), append(stderr, said)
	}
	start := time.Now()
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s %s: %v: %s", verb, addrs[i], err, stderr[i])
		}
	}
	t.Logf("%d processes, %s: %v", len(cmds), verb, time.Since(start))
	_ = gate.Close()
}

// TestKilledAtAnyPoint kills a process that adds and deletes without end, again
// and again, while a reader looks at the file all the time.
func TestKilledAtAnyPoint(t *testing.T) {
	addrs := []target.Target{v4, v6, target.MustParse("10.20.30.40"), target.MustParse("2001:db8::9999:1")}
	modes := map[string]func(*testing.T, string) (*Enforcer, string){
		"replaced": newFile, "in place": newInPlace,
	}
	for name, newMode := range modes {
		t.Run(name, func(t *testing.T) {
			e, path := newMode(t, plain)
			stop := watch(t, path)
			for range 20 {
				killOne(t, player(e, "forever", addrs...), rand.IntN(30))
			}
			stop()
			block(t, e, target.MustParse("192.0.2.1"))
			if err := e.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantAlone(t, path)
			if name == "replaced" {
				wantFile(t, path, plain)
			}
		})
	}
}

// killOne starts cmd and kills it while it is busy with the edit after count.
func killOne(t *testing.T, cmd *exec.Cmd, count int) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, out, int64(count+1)); err != nil {
		t.Errorf("the process ended by itself: %v", err)
	}
	for range rand.IntN(2000) { // some microseconds, a different number each time
		_ = os.Getppid()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // "signal: killed"
}

// watch reads the file over and over until the function that it returns is
// called, and checks that every line is whole each time.
func watch(t *testing.T, path string) (stop func()) {
	t.Helper()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for reads := 0; ; reads++ {
			if err := validate(path); err != nil {
				t.Errorf("read %d: %v", reads, err)
				return
			}
			select {
			case <-done:
				t.Logf("%d reads, all whole", reads)
				return
			default:
			}
		}
	}()
	return func() { close(done); <-stopped }
}

func validate(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(content, []byte(plain)) || !bytes.HasSuffix(content, []byte("\n")) {
		return fmt.Errorf("not a whole file: %q", content)
	}
	form := newForm("", false)
	lines := bufio.NewScanner(bytes.NewReader(content[len(plain):]))
	for lines.Scan() {
		if addr, ok := form.parse(lines.Bytes()); !ok && !bytes.HasPrefix(lines.Bytes(), []byte("#")) {
			return fmt.Errorf("line %q (%v) in %q", lines.Text(), addr, content)
		}
	}
	return lines.Err()
}
