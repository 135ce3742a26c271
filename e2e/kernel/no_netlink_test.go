package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	// without-netlink PROGRAM ARGS...: runs the program on what is to it a kernel without netlink.
	roles["without-netlink"] = func(args []string) error {
		if err := denyFamily(unix.AF_NETLINK); err != nil {
			return err
		}
		return syscall.Exec(args[0], args, os.Environ())
	}
}

// denyFamily lets socket(2) of this thread say about a family what a kernel without it
// says: a filter of seccomp(2), inherited by what the thread becomes.
func denyFamily(denied uint32) error {
	runtime.LockOSThread()
	const (
		number, family = 0, 16 // offsets in struct seccomp_data; of the first argument the low half, on little-endian machines
		load           = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal          = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		end            = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{
		{Code: load, K: number},
		{Code: equal, K: unix.SYS_SOCKET, Jf: 3},
		{Code: load, K: family},
		{Code: equal, K: denied, Jf: 1},
		{Code: end, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
		{Code: end, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	}
	if err != nil {
		return fmt.Errorf("setting a filter of system calls: %w", err)
	}
	return nil
}

// TestWithoutNetlink: where routes can be neither made nor listed, each call says so and
// ends with 1, and so does check, with what to do.
func TestWithoutNetlink(t *testing.T) {
	if !Isolated(t) {
		return
	}
	bin := buildPrograms(t)
	program := filepath.Join(bin, "route-null")
	var here Host
	if out, err := here.Try(t, role("without-netlink", "/bin/true")); err != nil {
		needKernel(t, fmt.Sprintf("no seccomp here: %v %s", err, out))
	}
	for _, tt := range []struct{ args, says string }{
		{"add", `(?m)^route-null: adding blackhole route for 203\.0\.113\.7: .*address family not supported by protocol`},
		{"delete", `^route-null: .*route.*203\.0\.113\.7: .*address family not supported by protocol`},
		{"list", `^ossec-ar: route-null: .*address family not supported by protocol`},
		{"check", `(?m)^FAULT +routes .*address family not supported by protocol\n +mend: +run it as root, on a kernel with rtnetlink$`},
	} {
		args := tool(program, tt.args).Args
		if tt.args == "add" || tt.args == "delete" {
			args = []string{program, tt.args, "-", "203.0.113.7", "1.1", "5712"}
		}
		out, err := here.Try(t, role("without-netlink", args...))
		if err == nil || !regexp.MustCompile(tt.says).MatchString(out) {
			t.Errorf("%s: %v, want a failure and %s:\n%s", tt.args, err, tt.says, out)
		}
	}
	log := logOf(t, program)
	if !regexp.MustCompile(`(?s) error - 203\.0\.113\.7 1\.1 5712 - Failed: .* error - 203\.0\.113\.7 1\.1 5712 - Failed: `).MatchString(log) {
		t.Errorf("the log:\n%s", log)
	}
}
