// Package mounttest lets a test mount what it likes.
package mounttest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// variable holds the name of the test that a process was started for.
const variable = "AR_TEST_OWN_MOUNTS"

// Own runs the test that calls it, as the first thing it does, once more in a process with a
// mount namespace of its own, and reports whether this is that process. In the other one
// nothing is left to do. skip is told why there can be no such process.
func Own(t *testing.T, skip func(reason string)) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		skip(fmt.Sprintf("no mount namespace: %v", err))
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
