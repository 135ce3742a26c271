package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

const (
	// roleVariable holds the name of the role that a process plays; see roles.
	roleVariable = "AR_KERNEL_ROLE"
	// programsVariable holds the folder that the programs are built into.
	programsVariable = "AR_KERNEL_PROGRAMS"
)

// roles are what the test binary can be started as to be a process of its own,
// with the arguments that are given: command(role, args...). They return what
// is wrong. Test files add theirs in init.
var roles = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(roleVariable); name != "" {
		os.Exit(exitStatus(roles[name](os.Args[1:])))
	}
	if isolate.Inside() {
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

// built builds the programs, once for all tests.
var built = sync.OnceValue(func() error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "urfave_cli_no_docs", "-o", os.Getenv(programsVariable)+"/", "../../cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
})

// Isolated is isolate.Test. Tests wait for packets that do not come and for processes, so that
// as many run beside each other as there are processors; each has a host of its own.
func Isolated(t *testing.T) bool {
	t.Helper()
	if !isolate.Inside() {
		t.Parallel()
		must(t, built())
	}
	return isolate.Test(t)
}

// needKernel is isolate.Need.
func needKernel(t *testing.T, reason string) {
	t.Helper()
	isolate.Need(t, reason)
}

// needRoot is needKernel where this process is root of a user namespace, with one user in it, or nobody's.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if !isolate.Root() {
		needKernel(t, "root is needed: "+why)
	}
}
