package confine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the process without rights.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == Word {
		os.Exit(Serve(work))
	}
	os.Exit(m.Run())
}

// work tries what a job names, as one would who has taken the process over.
func work(ctx context.Context, job string) string {
	what, arg, _ := strings.Cut(job, " ")
	switch what {
	case "read":
		_, err := os.ReadFile(arg)
		return fmt.Sprint(err)
	case "write":
		return fmt.Sprint(os.WriteFile(arg, []byte("x"), 0o600))
	case "run":
		return fmt.Sprint(exec.Command(arg).Run())
	case "root":
		return fmt.Sprint(syscall.Setuid(0), os.Geteuid())
	case "dumpable":
		is, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		return fmt.Sprint(is, err)
	case "kill":
		return fmt.Sprint(syscall.Kill(os.Getppid(), 0))
	case "resolve":
		addrs, err := net.DefaultResolver.LookupHost(ctx, "localhost")
		return fmt.Sprint(len(addrs) > 0, err)
	case "crash":
		os.Exit(7)
	case "babble":
		fmt.Print("{")
		os.Exit(0)
	case "hang":
		select {}
	case "eat":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
			clear(all[len(all)-1])
		}
	}
	return what
}

// tool is this test without C, whose process gives up all that it can.
func tool(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "confine.test")
	cmd := exec.Command("go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// answered returns what the process says to a job.
func answered(t *testing.T, path, job string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, Word)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("%q", job))
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", job, err)
	}
	return string(out)
}

// Whoever takes the process over reads and writes no file, runs nothing, and becomes nobody else.
func TestDrop(t *testing.T) {
	path := tool(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := landlocked()
	if !locked {
		t.Log("this kernel has no Landlock: what only that refuses is not tried")
	}
	for job, want := range map[string]string{
		"read /etc/shadow": "permission denied", "read " + secret: "permission denied",
		"write " + secret + ".new": "permission denied", "root": "operation not permitted",
		"resolve": "true \\u003cnil\\u003e", "dumpable": "0 \\u003cnil\\u003e",
	} {
		if got := answered(t, path, job); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", job, got, want)
		}
	}
	if !locked {
		return
	}
	for job, want := range map[string]string{
		"read /etc/passwd": "permission denied", "run /bin/true": "permission denied",
		"write /tmp/confine-test": "permission denied", "kill": "operation not permitted",
	} {
		if got := answered(t, path, job); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", job, got, want)
		}
	}
	if os.Geteuid() == 0 {
		if got := answered(t, path, "root"); !strings.Contains(got, " 65534") && !fixedUser() {
			t.Errorf("the user is still %s", got)
		}
	}
}

func landlocked() bool {
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0
}

// What the process does wrong is an error, and holds nobody up.
func TestRun(t *testing.T) {
	var answer string
	if err := Run(t.Context(), "works", &answer); err != nil || answer != "works" {
		t.Errorf("%q, %v", answer, err)
	}
	for _, job := range []string{"crash", "babble", "eat"} {
		if err := Run(t.Context(), job, &answer); !errors.Is(err, ErrCrashed) {
			t.Errorf("%s: %v", job, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := Run(ctx, "hang", &answer); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrCrashed) {
		t.Errorf("hang: %v", err)
	}
}
