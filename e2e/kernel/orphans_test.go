package kernel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// standIn is a process of a daemon's name that runs what it is told.
type standIn struct {
	t       *testing.T
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// daemonOf puts a shell of the daemon's name into the home of a program.
func daemonOf(t *testing.T, program, name string) string {
	t.Helper()
	shell, err := os.ReadFile("/bin/sh")
	must(t, err)
	path := filepath.Join(filepath.Dir(program), "../../bin", name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, shell, 0o755))
	return path
}

func startDaemon(t *testing.T, program, name string) *standIn {
	t.Helper()
	d := &standIn{t: t, cmd: exec.Command(daemonOf(t, program, name), "-c", "while read -r line; do $line; echo $?; done")}
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
			name, etc := filepath.Base(program), filepath.Join(homeOf(program), "etc")
			must(t, errors.Join(os.MkdirAll(etc+"/shared", 0o755),
				os.WriteFile(etc+"/shared/ar.conf", []byte("block600 - "+name+" - 600\nblock30 - "+name+" - 30\n"), 0o600),
				os.WriteFile(etc+"/ossec.conf", []byte("<ossec_config><active-response><repeated_offenders>30,60,120</repeated_offenders></active-response></ossec_config>"), 0o600)))
			orphans(t, program)
			ofTheFuture(t, program)
		})
	}
}

const orphan = "203.0.113.7"

// change writes the only lease anew, which is that of a daemon on orphan.
func change(t *testing.T, program string, how func(*lease.Lease)) {
	t.Helper()
	found := all(t, program)
	if len(found) != 1 || found[0].Target != target.MustParse(orphan) || found[0].Daemon == nil {
		t.Fatalf("leases: %+v", found)
	}
	how(&found[0])
	put(t, program, found[0])
}

func aged(age time.Duration) func(*lease.Lease) {
	return func(l *lease.Lease) { l.Renewed = time.Now().Add(-age) }
}

func orphans(t *testing.T, program string) {
	expires := func(step string, want bool) {
		t.Helper()
		logged := heals(t, program)
		line := " delete - " + orphan + " 1.1 5712 - Unblocked IP: " + orphan + " (expired: the daemon that asked for it is gone)\n"
		if got := inForce(t, program) == 0; got != want || strings.HasSuffix(logged, line) != want || !want && logged != "" {
			t.Errorf("%s: expired: %v, want %v; it logs %q", step, got, want, logged)
		}
	}
	for _, name := range []string{"ossec-execd", "wazuh-execd"} {
		d := startDaemon(t, program, name)
		d.call(program, "add", "-", orphan, "1.1", "5712")
		change(t, program, aged(1000*time.Hour))
		expires("while "+name+" lives", false)
		change(t, program, aged(-1000*time.Hour))
		expires("while "+name+" lives, the clock set back", false)
		d.kill()
		change(t, program, aged(time.Minute))
		expires("a minute after "+name+" was killed", false)
		change(t, program, aged(119*time.Minute))
		expires("before the time of who offends again and again is over", false)
		change(t, program, aged(121*time.Minute))
		expires("after it", true)
	}

	d := startDaemon(t, program, "ossec-execd")
	d.call(program, "add", "-", orphan, "1.1", "5712")
	change(t, program, func(l *lease.Lease) { l.Daemon.Boot, l.Renewed = "another", time.Now().Add(-time.Minute) })
	expires("right after a reboot", false)
	change(t, program, aged(121*time.Minute))
	expires("two hours after a reboot, though a daemon of that pid runs", true)

	d.call(program, "add", "-", orphan, "1.1", "5712")
	d.kill()
	change(t, program, aged(-30*time.Minute))
	expires("the clock set back by half an hour", false)
	change(t, program, aged(-2*time.Hour))
	if got := person(t, program, "repair"); got != "nothing differs\n" || inForce(t, program) != 1 {
		t.Errorf("repair, which ends nothing, says %q, and %d are in force", got, inForce(t, program))
	}
	expires("the clock set back by hours", true)
}

// ofTheFuture: a lease that a clock set back left in the future is renewed, given back, and
// blocked again, as any.
func ofTheFuture(t *testing.T, program string) {
	d := startDaemon(t, program, "ossec-execd")
	for _, last := range []string{"add", "delete"} {
		d.call(program, "add", "-", orphan, "1.1", "5712")
		change(t, program, aged(-1000*time.Hour))
		missing := all(t, program)[0]
		d.call(program, last, "-", orphan, "1.2", "5712")
		if last == "add" {
			missing.Target, missing.Renewed = target.MustParse("203.0.113.8"), time.Now().Add(30*time.Minute)
			put(t, program, missing)
			if got := heals(t, program); !strings.HasSuffix(got, " add - 203.0.113.8 - - - Blocked IP: 203.0.113.8 (again: it was not in force)\n") {
				t.Errorf("maintain logs %q", got)
			}
			person(t, program, "unban", "203.0.113.8")
		}
		if found := all(t, program); last == "add" && (len(found) != 1 || found[0].Renewed.After(time.Now())) {
			t.Errorf("after %s: %+v", last, found)
		}
	}
	wantNone(t, "in the end", program)
}
