package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// complaints is where what the started responses say goes to: the test's own /run.
const complaints = "/run/complaints"

// start starts a response as the daemon does, without waiting.
func start(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	to, err := os.OpenFile(complaints, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	must(t, err)
	defer to.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", []string{}, to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// startAdds starts a response for the first n addresses of a net, which is text that a
// number makes an address.
func startAdds(t *testing.T, program, net string, n int) []*exec.Cmd {
	t.Helper()
	commands := make([]*exec.Cmd, n)
	for i := range commands {
		commands[i] = start(t, program, "add", "-", fmt.Sprintf("%s%d", net, i), "1.1", "5712")
	}
	return commands
}

// waitForAll waits until all have ended, as they should. ended, which may be nil, is called
// for each in their order.
func waitForAll(t *testing.T, commands []*exec.Cmd, ended func(i int)) {
	t.Helper()
	for i, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			said, _ := os.ReadFile(complaints) // more than nothing
			t.Errorf("call %d, %q: %v; all of them said:\n%.2000s", i, cmd.Args[1:], err, said)
		}
		if ended != nil {
			ended(i)
		}
	}
}

// TestXtablesLockHeld: another program holds the lock of the xtables while it is wanted. The
// response waits for it and then blocks.
func TestXtablesLockHeld(t *testing.T) {
	if !Isolated(t) {
		return
	}
	tools := chooseVariant(t, "legacy")
	bin := buildPrograms(t)
	bindTools(t, tools)
	program := filepath.Join(bin, "firewall-drop.sh")
	release := lockXtables(t)
	defer release()
	cmd := start(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("it ended while the lock was held: %v", err)
	case <-time.After(500 * time.Millisecond): // long enough to get to the lock
	}
	release()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("add: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it did not end after the lock was free")
	}
	agrees(t, program)
}
