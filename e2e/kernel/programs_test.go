package kernel

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// aliases are the further names that the programs are called by.
var aliases = map[string][]string{
	"firewall-drop":      {"firewall-drop.sh", "custom-firewall-drop.sh"},
	"host-deny":          {"host-deny.sh", "custom-host-deny.sh"},
	"route-null":         {"route-null.sh", "custom-route-null.sh"},
	"email-notification": {"email-notification.sh"},
}

// buildPrograms puts the real programs into a home of the test's own and returns the folder
// of the responses.
func buildPrograms(t *testing.T) string {
	t.Helper()
	programs := os.Getenv(programsVariable)
	entries, err := os.ReadDir(programs)
	bin := filepath.Join(t.TempDir(), "active-response/bin")
	err = errors.Join(err, os.MkdirAll(bin, 0o755), os.Mkdir(filepath.Join(home(bin), "bin"), 0o755))
	for _, e := range entries {
		to := bin
		if e.Name() == "ossec-ar" {
			to = filepath.Join(home(bin), "bin")
		}
		err = errors.Join(err, link(filepath.Join(programs, e.Name()), filepath.Join(to, e.Name())))
		for _, alias := range aliases[e.Name()] {
			err = errors.Join(err, os.Symlink(e.Name(), filepath.Join(bin, alias)))
		}
	}
	if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "firewall-drop" }) {
		t.Fatalf("the programs: %v, %v", entries, err)
	}
	configure(t, bin, "")
	t.Cleanup(func() { endAll(t, home(bin)) }) // before the folder is removed
	return bin
}

// endAll ends what still runs of the programs in a home, such as a deliverer that lingers, and waits for the
// end.
func endAll(t *testing.T, home string) {
	t.Helper()
	for again := true; again; {
		again = false
		processes, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well-formed
		for _, exe := range processes {
			ours := func() bool {
				path, err := os.Readlink(exe)
				return err == nil && strings.HasPrefix(path, home+"/")
			}
			if !ours() {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(exe)))
			must(t, err)
			process, err := unix.PidfdOpen(pid, 0)
			if err != nil || !ours() { // it has ended, and its number may be another's by now
				continue
			}
			again = true
			_ = unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0) // it may end by itself meanwhile
			for err = unix.EINTR; errors.Is(err, unix.EINTR); {
				_, err = unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, -1)
			}
			must(t, errors.Join(err, unix.Close(process)))
		}
	}
}

// link makes a second name, or a symbolic link where that is on another file system, as in a user
// namespace.
func link(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, unix.EXDEV) {
		err = os.Symlink(from, to)
	}
	return err
}

// configure writes active-response.toml into the home that bin belongs to. How long the
// programs wait is that of the tests where the text does not say otherwise: a loaded machine
// takes its time.
func configure(t *testing.T, bin, text string) {
	t.Helper()
	for section, setting := range map[string]string{"[firewall]\n": "timeout = \"1m\"\n", "[lease]\n": "lock_timeout = \"1m\"\n"} {
		switch {
		case !strings.Contains(text, section):
			text += section + setting
		case !strings.Contains(text, "\n"+strings.Fields(setting)[0]+" "):
			text = strings.Replace(text, section, section+setting, 1)
		}
	}
	etc := filepath.Join(home(bin), "etc")
	if err := errors.Join(os.MkdirAll(etc, 0o755), os.WriteFile(filepath.Join(etc, "active-response.toml"), []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// home is the home that a folder of responses belongs to.
func home(bin string) string { return filepath.Join(bin, "../..") }

func homeOf(program string) string { return home(filepath.Dir(program)) }

// responseOf is the name of the response that a program is.
func responseOf(program string) string {
	return strings.TrimPrefix(strings.TrimSuffix(filepath.Base(program), ".sh"), "custom-")
}

// leases is the store of a program's leases.
func leases(program string) *lease.Store {
	return lease.New(filepath.Join(homeOf(program), "var/active-response"), responseOf(program))
}

// all returns the leases of a program.
func all(t *testing.T, program string) []lease.Lease {
	t.Helper()
	found, err := leases(program).All()
	must(t, err)
	return found
}

// put writes leases of a program.
func put(t *testing.T, program string, some ...lease.Lease) {
	t.Helper()
	must(t, leases(program).Update(func(tx *lease.Tx) error {
		for _, l := range some {
			if err := tx.Put(l); err != nil {
				return err
			}
		}
		return nil
	}))
}

// tool is ossec-ar in the home of a program, on its response alone.
func tool(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(homeOf(program), "bin/ossec-ar"), append([]string{"--response", responseOf(program)}, args...)...)
	cmd.Dir, cmd.Env = "/", []string{}
	return cmd
}

// person runs it and returns what it says.
func person(t *testing.T, program string, args ...string) string {
	t.Helper()
	var here Host
	out, err := here.Try(t, tool(program, args...))
	if err != nil {
		t.Fatalf("ossec-ar %q: %v\n%s", args, err, out)
	}
	return out
}

// states returns the state of each address that `ossec-ar list` shows: "blocked", or what it
// is and why.
func states(t *testing.T, program string) map[string]string {
	t.Helper()
	var list struct {
		Addresses []struct{ Address, State, Why string }
	}
	text := person(t, program, "list", "--json")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("list --json: %v\n%.2000s", err, text)
	}
	found := map[string]string{}
	for _, a := range list.Addresses {
		if found[a.Address] = a.State; a.Why != "" {
			found[a.Address] += ": " + a.Why
		}
	}
	return found
}

// inForce returns how many leased addresses are in force.
func inForce(t *testing.T, program string) (n int) {
	t.Helper()
	for _, state := range states(t, program) {
		if state == "blocked" {
			n++
		}
	}
	return n
}

// wantNone wants neither a lease nor a block to be left.
func wantNone(t *testing.T, step, program string) {
	t.Helper()
	if got := person(t, program, "list"); got != "nothing is blocked\n" {
		t.Errorf("%s: left over:\n%.2000s", step, got)
	}
}

// agrees fails the test when leases and host differ.
func agrees(t *testing.T, program string) {
	t.Helper()
	var here Host
	if got, err := here.Try(t, tool(program, "repair", "--dry-run")); err != nil || got != "nothing differs\n" {
		t.Errorf("leases and host differ: %v\n%.600s", err, got)
	}
}

// maintain runs the job of each minute, which is silent and ends well.
func maintain(t *testing.T, program string) {
	t.Helper()
	respond(t, filepath.Join(homeOf(program), "bin/ossec-ar"), "maintain")
}

// heals wants one run of maintain to bring leases and host together, and a second one to
// find nothing to do. It returns what the first one logged.
func heals(t *testing.T, program string) (logged string) {
	t.Helper()
	before := logOf(t, program)
	maintain(t, program)
	healed := logOf(t, program)
	agrees(t, program)
	maintain(t, program)
	if again := logOf(t, program); again != healed {
		t.Errorf("a second maintain logs:\n%.600s", strings.TrimPrefix(again, healed))
	}
	return strings.TrimPrefix(healed, before)
}

// logOf returns active-responses.log.
func logOf(t *testing.T, program string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(homeOf(program), "logs/active-responses.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// passable lets every account pass into a temporary folder.
func passable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
}

// command runs a program, which must succeed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	var here Host
	return here.Run(t, name, args...)
}

// shell runs commands, of which each must succeed.
func shell(t *testing.T, commands string) string {
	t.Helper()
	return command(t, "/bin/sh", "-ec", path+commands)
}

// path is where the commands of a shell are.
const path = "PATH=/usr/sbin:/sbin:/usr/bin:/bin; "
