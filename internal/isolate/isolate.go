// Package isolate runs a test in a process with a network and mounts of its own, so that it
// may use the system's own programs and files and the host never notices. It is for tests
// only.
package isolate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// variable holds the name of the test that a process was started for.
const variable = "AR_ISOLATED"

// Inside reports whether this process was started for one test.
func Inside() bool { return os.Getenv(variable) != "" }

// Root reports whether this process can act as any user: not as root of a user namespace.
func Root() bool {
	users, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Getuid() == 0 && len(bytes.Fields(users)) == 3 &&
		string(bytes.Fields(users)[2]) == "4294967295"
}

// Test must be the first thing that a test or subtest calls:
//
//	if !isolate.Test(t) {
//		return
//	}
//
// It runs the test again in a process with a network and a mount namespace of its own,
// reports how that went, and is false; in that process it is true. Everything is inside
// there: goroutines, the programs that the test starts, and the files that prepare makes
// private.
func Test(t *testing.T) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		if err := prepared(); err != nil {
			Need(t, err.Error())
		}
		return true
	}
	out, err := run(t)
	failed := new(exec.ExitError)
	switch {
	case err != nil && !errors.As(err, &failed):
		Need(t, fmt.Sprintf("no namespaces: %v", err))
	case err != nil:
		t.Fatalf("in its namespaces: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		t.Skip(reason(out))
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Fatalf("did not run in its namespaces:\n%s", out)
	}
	if testing.Verbose() {
		t.Logf("in its namespaces:\n%s", out)
	}
	return false
}

// Need ends a test that can't run here: it is skipped, or fails when
// AR_KERNEL_TESTS=require.
func Need(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("AR_KERNEL_TESTS") == "require" {
		t.Fatalf("AR_KERNEL_TESTS=require: %s", reason)
	}
	t.Skip(reason)
}

// run runs the test in new namespaces: as root without a user namespace, for large netlink
// batches need CAP_NET_ADMIN in the first one (SO_SNDBUFFORCE).
func run(t *testing.T) ([]byte, error) {
	if os.Geteuid() == 0 {
		out, err := command(t, 0)
		if !errors.Is(err, syscall.EPERM) {
			return out, err
		}
	}
	return command(t, syscall.CLONE_NEWUSER)
}

func command(t *testing.T, user uintptr) ([]byte, error) {
	args := []string{"-test.v", "-test.count=1", "-test.run=" + pattern(t.Name())}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(deadline).String())
	}
	for _, arg := range os.Args[1:] {
		if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "-test.") {
			args = append(args, arg)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), variable+"="+t.Name(), "GORACE=atexit_sleep_ms=10")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | user,
		// After the mappings: what is in /proc/net belongs to who is root when the network is made.
		Unshareflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL,
	}
	if user != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	// The child gets the signal when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.CombinedOutput()
}

// logged matches a line that a test logged. The first says why it was skipped: after it, a script logs what
// it did.
var logged = regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (.+)$`)

// reason returns why a test was skipped that printed that.
func reason(out []byte) string {
	if line := logged.FindSubmatch(out); line != nil {
		return string(line[1])
	}
	return string(out)
}

// pattern matches exactly the test of that name, subtests included.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

var prepared = sync.OnceValue(prepare)
