package kernel

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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// isolatedVariable holds the name of the test that a process was started for.
	isolatedVariable = "AR_KERNEL_ISOLATED"
	// roleVariable holds the name of the role that a process plays; see roles.
	roleVariable = "AR_KERNEL_ROLE"
	// programsVariable holds the folder that the programs are built into, once for all
	// tests, by the first that needs them.
	programsVariable = "AR_KERNEL_PROGRAMS"
	// probe is a test name that no test has.
	probe = "probe"
)

// roles are what the test binary can be started as to be a process of its own,
// with the arguments that are given: command(role, args...). They return what
// is wrong. Test files add theirs in init.
var roles = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(exitStatus(roles[name](os.Args[1:])))
	}
	name := os.Getenv(isolatedVariable)
	if name != "" {
		if err := settle(); err != nil {
			os.Exit(exitStatus(err))
		}
	}
	if name == probe {
		os.Exit(exitStatus(probeKernel()))
	}
	if name != "" {
		os.Exit(m.Run())
	}
	programs, err := os.MkdirTemp("", "programs")
	if err == nil {
		err = os.Setenv(programsVariable, programs)
	}
	if err != nil {
		os.Exit(exitStatus(err))
	}
	status := m.Run()
	_ = os.RemoveAll(programs) // the system clears its folder of temporary files
	os.Exit(status)
}

func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// role returns a command that plays a role in the namespaces of this process.
func role(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+name, "GORACE=atexit_sleep_ms=10")
	return cmd
}

// Isolated must be the first thing that a test or subtest calls:
//
//	if !Isolated(t) {
//		return
//	}
//
// It runs the test again in a process with a network and a mount namespace of
// its own, reports how that went, and is false; in that process it is true.
// There, everything is inside: goroutines, files such as /run/xtables.lock, and
// the programs that the test starts.
func Isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(isolatedVariable) == t.Name() {
		return true
	}
	isolation, err := kernelIsolation()
	if err != nil {
		needKernel(t, err.Error())
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.count=1", "-test.run="+pattern(t.Name()))
	out, err := isolation.run(cmd, t.Name())
	switch {
	case err != nil:
		t.Fatalf("in its namespaces: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP: "+t.Name()+" ")):
		t.Skipf("in its namespaces:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")):
		t.Fatalf("did not run in its namespaces:\n%s", out)
	}
	if testing.Verbose() {
		t.Logf("in its namespaces:\n%s", out)
	}
	return false
}

// needKernel ends a test that can't run here: it is skipped, or fails when
// AR_KERNEL_TESTS=require.
func needKernel(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("AR_KERNEL_TESTS") == "require" {
		t.Fatalf("AR_KERNEL_TESTS=require: %s", reason)
	}
	t.Skip(reason)
}

// pattern matches exactly the test of that name, subtests included.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// isolation is how this process can make namespaces.
type isolation struct{ flags uintptr }

// kernelIsolation tries it once: as root without a user namespace, for large
// netlink batches need CAP_NET_ADMIN in the first one (SO_SNDBUFFORCE).
var kernelIsolation = sync.OnceValues(func() (isolation, error) {
	const spaces = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS
	tries := []isolation{{spaces | syscall.CLONE_NEWUSER}}
	if os.Geteuid() == 0 {
		tries = []isolation{{spaces}, {spaces | syscall.CLONE_NEWUSER}}
	}
	var reasons []error
	for _, try := range tries {
		out, err := try.run(exec.Command("/proc/self/exe"), probe)
		if err == nil {
			return try, nil
		}
		reasons = append(reasons, fmt.Errorf("no network namespace: %w %s", err, bytes.TrimSpace(out)))
	}
	return isolation{}, errors.Join(reasons...)
})

// run runs cmd, which is this test binary, in new namespaces for a test.
func (i isolation) run(cmd *exec.Cmd, test string) ([]byte, error) {
	cmd.Env = append(os.Environ(), isolatedVariable+"="+test, "GORACE=atexit_sleep_ms=10")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: i.flags, Pdeathsig: syscall.SIGKILL}
	if i.flags&syscall.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	// The child gets the signal when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.CombinedOutput()
}

// settle makes the new namespaces usable: a /run of its own, since lock files
// there are for one network only, and a loopback interface that is up.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	return loopbackUp()
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("setting up lo: %w", err)
	}
	return nil
}

// probeKernel does once what Hosts does.
func probeKernel() error {
	_, _, err := makeHosts()
	return err
}
