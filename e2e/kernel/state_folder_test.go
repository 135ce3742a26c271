package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	// exchange ABOVE TO puts a link to a folder in the place of the state folder and that back, for
	// ever.
	roles["exchange"] = func(args []string) error {
		folder, link := filepath.Join(args[0], "active-response"), filepath.Join(args[0], "link")
		err := os.Symlink(args[1], link)
		for err == nil {
			err = unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE)
		}
		return err
	}
}

// TestStateFolderExchanged: an account that may write in the folder above the state folder, as
// Wazuh's daemons may in var, leads no response elsewhere by exchanging it all the time, and what is
// asked for is blocked and lifted.
func TestStateFolderExchanged(t *testing.T) {
	const account = 54321
	if !Isolated(t) {
		return
	}
	program := filepath.Join(buildPrograms(t), "route-null.sh")
	configure(t, filepath.Dir(program), "")
	respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
	above, secrets := filepath.Join(homeOf(program), "var"), t.TempDir()
	must(t, errors.Join(os.Chmod(secrets, 0o700), os.Chown(above, 0, account), os.Chmod(above, 0o770)))
	passable(t, filepath.Dir(above))
	cmd := role("exchange", above, secrets)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: account, Gid: account}, Pdeathsig: syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("a process of user %d: %v", account, err) // in a user namespace with one user
	}
	for end := time.Now().Add(time.Minute); ; { // until it is at it
		if _, err := os.Lstat(filepath.Join(above, "link")); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing is exchanged")
		}
	}
	var here Host
	for i := range 150 {
		for _, action := range []string{"add", "delete"} {
			addr := fmt.Sprintf("198.18.0.%d", i)
			if out, err := here.Try(t, exec.Command(program, action, "-", addr, "1.1", "5712")); err != nil {
				t.Errorf("%s %s: %v, %s", action, addr, err, out)
			}
		}
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // "signal: killed"
	if entries, err := os.ReadDir(secrets); err != nil || len(entries) > 0 {
		t.Errorf("in the folder that the link leads to are %v, %v", entries, err)
	}
}
