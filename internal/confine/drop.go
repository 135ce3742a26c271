package confine

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nobody is the user and group that own nothing, by number: no file is asked for the name.
const nobody = 65534

const (
	maxCPU    = 120       // seconds of computing
	maxMemory = 512 << 20 // bytes of data
	softLimit = 192 << 20 // from where on memory is collected eagerly, in bytes
	maxFiles  = 64
)

// readable are the files that names are resolved by; each is opened anew for a look-up.
var readable = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"}

// Drop gives up what this process may do, for good: its user, its groups and capabilities, all files
// but those that names are resolved by, new privileges, and more memory, time and open files than the
// work needs. It may still use the network. What is needed of other files is loaded before: the
// system's certificates, the time zone. Not started by root, it keeps its user. An error says that a
// right is left that could have been given up.
func Drop() error {
	_, _ = x509.SystemCertPool() // which keeps them; without any, no certificate is good
	_ = time.Now().Local().String()
	_, _ = net.InterfaceAddrs() // has the resolver's settings read
	debug.SetMemoryLimit(softLimit)
	for resource, most := range map[int]uint64{
		unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CPU: maxCPU, unix.RLIMIT_DATA: maxMemory,
		unix.RLIMIT_NOFILE: maxFiles,
	} {
		if err := lower(resource, most); err != nil {
			return fmt.Errorf("limiting resource %d: %w", resource, err)
		}
	}
	fixed := fixedUser() // asked while files can be read
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"giving up new privileges", func() error {
			return allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
		}},
		{"giving up files", landlock},
		{"giving up the user", func() error { return changeUser(fixed) }},
		{"giving up capabilities", dropCapabilities},
		// Nobody else's process of the same user may look into this one, nor is its memory written to a
		// core file. Last, for a change of the user sets this to fs.suid_dumpable.
		{"hiding the memory", func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }},
	} {
		if err := step.do(); err != nil && !errors.Is(err, syscall.ENOTSUP) {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// lower sets a limit, unless it is lower.
func lower(resource int, most uint64) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(resource, &limit); err != nil {
		return err
	}
	most = min(most, limit.Max)
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most})
}

// allThreads makes a system call in all threads; those to come inherit what it did. Where C is linked,
// as in tests, it is syscall.ENOTSUP.
func allThreads(trap, a, b uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(trap, a, b, 0); errno != 0 {
		return errno
	}
	return nil
}

// changeUser becomes nobody, unless this process is not root's, or in a user namespace that has none.
// fixed is what fixedUser returned.
func changeUser(fixed bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	err := syscall.Setgroups(nil)
	if err == nil {
		err = syscall.Setresgid(nobody, nobody, nobody)
	}
	if err == nil {
		err = syscall.Setresuid(nobody, nobody, nobody)
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPERM) && fixed {
		return nil // its capabilities go all the same
	}
	return err
}

// fixedUser reports whether this process is in a user namespace that does not let it change its user.
func fixedUser() bool {
	denied, err := os.ReadFile("/proc/self/setgroups")
	return err == nil && string(denied) == "deny\n"
}

// dropCapabilities gives up all capabilities, which changing the user did unless that was impossible.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)),
		uintptr(unsafe.Pointer(&none)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// knownRights returns the rights on files that a version of Landlock knows.
func knownRights(version uintptr) uint64 {
	switch {
	case version >= 5:
		return 1<<16 - 1
	case version >= 3:
		return 1<<15 - 1
	case version == 2:
		return 1<<14 - 1
	}
	return 1<<13 - 1
}

// landlock leaves of all files those that names are resolved by, for reading; from its sixth version on
// no process outside can be signalled. A kernel without Landlock leaves all that to the user's rights.
func landlock() error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0,
		unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return nil
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: knownRights(version)}
	if version >= 6 {
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)),
		unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(rules)) // only used below
	for _, path := range readable {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // then it is not needed
		}
		rule := unix.LandlockPathBeneathAttr{
			Allowed_access: unix.LANDLOCK_ACCESS_FS_READ_FILE, Parent_fd: int32(fd),
		}
		_, _, errno = unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH,
			uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		_ = unix.Close(fd) // nothing was written
		if errno != 0 {
			return errno
		}
	}
	return allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0)
}
