package ossec_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// TestRuns: a process is a daemon of the home whose bin its executable lies in.
func TestRuns(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "ossec")
	daemon := filepath.Join(home, "bin/ossec-execd")
	if err := os.MkdirAll(filepath.Dir(daemon), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(daemon, program, 0o755); err != nil {
		t.Fatal(err)
	}
	alias := home + "-alias"
	if err := os.Symlink(home, alias); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), daemon, "900")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it waits for nothing else
		_ = cmd.Wait()
	}()
	// Processes of others are not in this one: those that the user of the test may not look at would be found.
	proc := t.TempDir()
	for _, name := range []string{"self", strconv.Itoa(os.Getpid()), strconv.Itoa(cmd.Process.Pid)} {
		if err := os.Symlink("/proc/"+name, filepath.Join(proc, name)); err != nil {
			t.Fatal(err)
		}
	}
	// An upgrade replaces the file of a daemon that runs.
	for _, upgraded := range []bool{false, true} {
		if upgraded {
			if err := os.Remove(daemon); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct {
			home string
			want bool
		}{{home, true}, {alias, true}, {home + "2", false}, {filepath.Dir(home), false}} {
			if got := ossec.Home(tt.home).RunsAsRoot("/proc", cmd.Process.Pid); got != tt.want {
				t.Errorf("of %s, upgraded %v: %v, want %v", tt.home, upgraded, got, tt.want)
			}
		}
		if found := ossec.Home(home).Processes(proc); len(found) != 1 || found[0].PID != cmd.Process.Pid ||
			found[0].Name != "ossec-execd" || found[0].Start == 0 {
			t.Errorf("found %+v", found)
		}
	}
	if ossec.Home(home).Runs(t.TempDir(), 1) {
		t.Error("a process that is gone counts")
	}
}

// TestRunsUnseen: a process that this user may not look at is taken for a daemon, but not one in the user
// namespace of a container. The test asks in a user namespace of its own, where root may look at no other.
func TestRunsUnseen(t *testing.T) {
	const variable = "OSSEC_TEST_CONTAINED" // the pid of a process in a container
	sleep := func(users *syscall.SysProcAttr) int {
		cmd := exec.CommandContext(t.Context(), "sleep", "900")
		cmd.SysProcAttr = users
		if err := cmd.Start(); err != nil {
			t.Skipf("no user namespace can be made, as in a chroot: %v", err) // user_namespaces(7)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill() // it waits for nothing else
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	if os.Getenv(variable) == "" {
		asks := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestRunsUnseen$")
		asks.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, sleep(userNamespace(1))))
		asks.SysProcAttr = userNamespace(0)
		if out, err := asks.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	contained, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		t.Fatal(err)
	}
	beside := sleep(nil)
	// Who has no capabilities may not look at who has some. The thread ends with the test.
	runtime.LockOSThread()
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]bool{beside: true, contained: false} {
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); !errors.Is(err, os.ErrPermission) {
			t.Errorf("it may be looked at: %v", err)
		}
		if got := ossec.Home("/var/ossec").Runs("/proc", pid); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// userNamespace starts a process in one of its own, as that user.
func userNamespace(user int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getgid(), Size: 1}},
	}
}

// TestRunsAsRoot: the daemons' account may run the executables, and so may a container.
func TestRunsAsRoot(t *testing.T) {
	const home = ossec.Home("/var/ossec")
	proc := t.TempDir()
	account := strconv.Itoa(os.Geteuid() + 1)
	accounts := strings.Join([]string{account, account, account, account}, "\t")
	for i, test := range []struct {
		name, uids, exe, mounts string
		want, runs              bool
	}{
		{"root's", "0\t0\t0\t0", "/var/ossec/bin/ossec-execd", "mnt:[1]", true, true},
		{"an upgraded one", "0\t0\t0\t0", "/var/ossec/bin/ossec-execd (deleted)", "mnt:[1]", true, true},
		{"the account's", accounts, "/var/ossec/bin/ossec-execd", "mnt:[1]", false, true},
		{"one that came from root", account + "\t0\t0\t0", "/var/ossec/bin/ossec-execd", "mnt:[1]", false, true},
		{"another program", "0\t0\t0\t0", "/bin/sh", "mnt:[1]", false, false},
		{"elsewhere in the home", "0\t0\t0\t0", "/var/ossec/tmp/ossec-execd", "mnt:[1]", false, false},
		{"of another home", "0\t0\t0\t0", "/opt/var/ossec/bin/ossec-execd", "mnt:[1]", false, false},
		{"in a container", "0\t0\t0\t0", "/var/ossec/bin/ossec-execd", "mnt:[2]", false, false},
		{"without ids", "", "/var/ossec/bin/ossec-execd", "mnt:[1]", false, true},
	} {
		link := func(target, name string) {
			path := filepath.Join(proc, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, path); err != nil && i == 0 {
				t.Fatal(err)
			}
		}
		link("mnt:[1]", "self/ns/mnt")
		link(test.mounts, fmt.Sprintf("%d/ns/mnt", 100+i))
		link(test.exe, fmt.Sprintf("%d/exe", 100+i))
		status := "Name:\tossec-execd\nUid:\t" + test.uids + "\nGid:\t0\t0\t0\t0\n"
		if err := os.WriteFile(filepath.Join(proc, fmt.Sprint(100+i), "status"), []byte(status), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := home.RunsAsRoot(proc, 100+i); got != test.want {
			t.Errorf("%s: as root %v, want %v", test.name, got, test.want)
		}
		if got := home.Runs(proc, 100+i); got != test.runs {
			t.Errorf("%s: %v, want %v", test.name, got, test.runs)
		}
	}
}
