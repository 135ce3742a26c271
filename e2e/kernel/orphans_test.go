package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// standIn is a process of a daemon's name that runs what it is told.
type standIn struct {
	t       *testing.T
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

func startDaemon(t *testing.T, name string) *standIn {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.Symlink("/bin/sh", path))
	d := &standIn{t: t, cmd: exec.Command(path, "-c", "while read -r line; do $line; echo $?; done")}
	d.cmd.Dir, d.cmd.Env = "/", []string{}
	var err error
	d.orders, err = d.cmd.StdinPipe()
	must(t, err)
	out, err := d.cmd.StdoutPipe()
	must(t, err)
	d.answers = bufio.NewReader(out)
	must(t, d.cmd.Start())
	t.Cleanup(d.kill)
	return d
}

func (d *standIn) call(words ...string) {
	d.t.Helper()
	_, err := fmt.Fprintln(d.orders, strings.Join(words, " "))
	must(d.t, err)
	if answer, err := d.answers.ReadString('\n'); err != nil || answer != "0\n" {
		d.t.Fatalf("%q by the daemon: %q, %v", words, answer, err)
	}
}

func (d *standIn) kill() {
	_ = d.cmd.Process.Kill() // it may be gone
	_ = d.cmd.Wait()         // "signal: killed"
}

// TestOrphans: what a daemon asked for that was killed ends when the longest time is over
// that ar.conf and repeated_offenders allow, and not before; what one asked for before a
// reboot, too; and a clock that was set back keeps nobody blocked for ever.
func TestOrphans(t *testing.T) {
	for _, b := range blockers() {
		if b.name != "iptables-nft" && b.program == "firewall-drop" {
			continue // leases know nothing of how a firewall blocks
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			home := filepath.Join(filepath.Dir(program), "../..")
			name := filepath.Base(program)
			must(t, errors.Join(os.MkdirAll(home+"/etc/shared", 0o755),
				os.WriteFile(home+"/etc/shared/ar.conf", []byte("block600 - "+name+" - 600\nblock30 - "+name+" - 30\n"), 0o600),
				os.WriteFile(home+"/etc/ossec.conf", []byte("<ossec_config><active-response><repeated_offenders>30,60,120</repeated_offenders></active-response></ossec_config>"), 0o600)))
			store := lease.New(home+"/var/active-response", b.program)
			orphans(t, program, store)
			ofTheFuture(t, program, store)
		})
	}
}

func orphans(t *testing.T, program string, store *lease.Store) {
	var here Host
	const addr = "203.0.113.7"
	// change writes the lease on addr anew.
	change := func(how func(*lease.Lease)) {
		t.Helper()
		all, err := store.All()
		if err != nil || len(all) != 1 || all[0].Addr != netip.MustParseAddr(addr) || all[0].Daemon == nil {
			t.Fatalf("leases: %+v, %v", all, err)
		}
		how(&all[0])
		must(t, store.TakeAll(all))
	}
	aged := func(age time.Duration) func(*lease.Lease) {
		return func(l *lease.Lease) { l.Renewed = time.Now().Add(-age) }
	}
	expires := func(step string, want bool) {
		t.Helper()
		said := here.Run(t, program, "expire")
		if got := listed(t, program) == 0; got != want || (said == "Unblocked IP: "+addr+"\n") != want {
			t.Errorf("%s: expired: %v, want %v; it says %q", step, got, want, said)
		}
	}

	for _, name := range []string{"ossec-execd", "wazuh-execd"} {
		d := startDaemon(t, name)
		d.call(program, "add", "-", addr, "1.1", "5712")
		change(aged(1000 * time.Hour))
		expires("while "+name+" lives", false)
		change(aged(-1000 * time.Hour))
		expires("while "+name+" lives, the clock set back", false)
		d.kill()
		change(aged(time.Minute))
		expires("a minute after "+name+" was killed", false)
		change(aged(119 * time.Minute))
		expires("before the time of who offends again and again is over", false)
		change(aged(121 * time.Minute))
		expires("after it", true)
	}

	d := startDaemon(t, "ossec-execd")
	d.call(program, "add", "-", addr, "1.1", "5712")
	change(func(l *lease.Lease) { l.Daemon.Boot, l.Renewed = "another", time.Now().Add(-time.Minute) })
	expires("right after a reboot", false)
	change(aged(121 * time.Minute))
	expires("two hours after a reboot, though a daemon of that pid runs", true)

	d.call(program, "add", "-", addr, "1.1", "5712")
	d.kill()
	change(aged(-30 * time.Minute))
	expires("the clock set back by half an hour", false)
	change(aged(-2 * time.Hour))
	if got := here.Run(t, program, "restore"); got != "Blocked 0 addresses again\n" || listed(t, program) != 1 {
		t.Errorf("restore, when the clock may not be set yet, says %q, and %d are in force", got, listed(t, program))
	}
	expires("the clock set back by hours", true)
}

// ofTheFuture: a lease that a clock set back left in the future is renewed, given back, and
// restored, as any.
func ofTheFuture(t *testing.T, program string, store *lease.Store) {
	var here Host
	d := startDaemon(t, "ossec-execd")
	for _, last := range []string{"add", "delete"} {
		d.call(program, "add", "-", "203.0.113.7", "1.1", "5712")
		age(t, store, -1000*time.Hour)
		all, err := store.All()
		must(t, err)
		d.call(program, last, "-", "203.0.113.7", "1.2", "5712")
		if last == "add" {
			missing := all[0]
			missing.Addr, missing.Renewed = netip.MustParseAddr("203.0.113.8"), time.Now().Add(30*time.Minute)
			must(t, store.TakeAll([]lease.Lease{missing}))
			if got := here.Run(t, program, "restore"); got != "Blocked 1 addresses again\n" {
				t.Errorf("restore says %q", got)
			}
			here.Run(t, program, "unban", "203.0.113.8")
		}
		if all, err = store.All(); err != nil || last == "add" && (len(all) != 1 || all[0].Renewed.After(time.Now())) {
			t.Errorf("after %s: %+v, %v", last, all, err)
		}
	}
	if got := here.Run(t, program, "list"); got != "nobody is blocked\n" {
		t.Errorf("left over:\n%s", got)
	}
}
