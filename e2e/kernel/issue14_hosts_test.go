package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

func init() {
	// without-ipv6 PROGRAM ARGS...: runs the program on what is to it a kernel without IPv6.
	roles["without-ipv6"] = func(args []string) error {
		if err := denyFamily(unix.AF_INET6); err != nil {
			return err
		}
		return syscall.Exec(args[0], args, os.Environ())
	}
	// without-capability NUMBER PROGRAM ARGS...: runs the program without that right.
	roles["without-capability"] = func(args []string) error {
		var number uintptr
		if _, err := fmt.Sscan(args[0], &number); err != nil {
			return err
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil {
			return err
		}
		return syscall.Exec(args[1], args[1:], os.Environ())
	}
}

// start0 is a response as the daemon calls it, not started yet.
func start0(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = "/", []string{}
	return cmd
}

const noTable6 = "#!/bin/sh\necho \"ip6tables v1.8.9 (legacy): can't initialize ip6tables table 'filter': Address family not supported by protocol\" >&2\nexit 3\n"

// oneFamily are ways in which IPv6 is not there, or broken. IPv4 does not suffer.
var oneFamily = []struct {
	name, variant string
	harm          func(t *testing.T)
	role          bool
	broken        bool // maintain says so
}{
	{"the kernel has no AF_INET6", "legacy", func(*testing.T) {}, true, false},
	{"the kernel has no AF_INET6", "nft", func(*testing.T) {}, true, false},
	{"ip6tables exits 3", "legacy", func(t *testing.T) {
		must(t, isolate.Replace("ip6tables", []byte(noTable6)))
		must(t, isolate.Replace("ip6tables-restore", []byte(noTable6)))
	}, false, false},
	{"ip6tables missing", "nft", func(t *testing.T) {
		must(t, isolate.Remove("ip6tables"))
		must(t, isolate.Remove("ip6tables-restore"))
	}, false, false},
	{"IPv6's table unreadable", "nft", func(t *testing.T) {
		must(t, isolate.Replace("ip6tables", []byte("#!/bin/sh\necho 'Could not fetch rule set' >&2\nexit 1\n")))
		must(t, isolate.Replace("ip6tables-restore", []byte("#!/bin/sh\necho 'Could not fetch rule set' >&2\nexit 1\n")))
	}, false, true},
	{"no set for IPv6", "nft", func(t *testing.T) {
		real := Program(t, "ip6tables-nft-restore")
		must(t, isolate.Replace("ip6tables-restore", []byte("#!/bin/sh\ncat >/run/asked\ngrep -q match-set /run/asked && { echo 'Set ossec_ar6 doesn'\\''t exist.' >&2; exit 1; }\nexec "+real+" \"$@\" </run/asked\n")))
	}, false, false},
}

// TestOneFamilyAlone: IPv4 is blocked, listed, mended, freed and flushed whatever is wrong with
// IPv6, and nothing is logged as a failure.
func TestOneFamilyAlone(t *testing.T) {
	for _, tt := range oneFamily {
		for _, backend := range []string{"auto", "iptables", "ipset"} {
			t.Run(tt.name+"/"+tt.variant+"/"+backend, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				bin := buildPrograms(t)
				configure(t, bin, "[firewall]\nmax_rules = 1\nbackend = \""+backend+"\"\n")
				bindTools(t, chooseVariant(t, tt.variant))
				tt.harm(t)
				program := filepath.Join(bin, "firewall-drop.sh")
				var here Host
				run := func(cmd *exec.Cmd) string {
					t.Helper()
					if tt.role {
						args := cmd.Args
						cmd = role("without-ipv6", args...)
					}
					out, err := here.Try(t, cmd)
					if err != nil {
						t.Errorf("%q: %v %s", cmd.Args, err, out)
					}
					return out
				}
				for i := range 3 {
					run(start0(program, "add", "-", fmt.Sprintf("203.0.113.%d", i+1), "1.1", "5712"))
				}
				if out := run(tool(program, "list")); strings.Count(out, "blocked") < 3 {
					t.Errorf("list:\n%s", out)
				}
				shell(t, "iptables -F INPUT")
				if out, err := here.Try(t, tool(program, "maintain")); tt.broken != (err != nil) {
					t.Errorf("maintain: %v %s", err, out)
				}
				if got := shell(t, "iptables -S INPUT"); !strings.Contains(got, "-A INPUT -j OSSEC_AR") {
					t.Errorf("maintain did not mend IPv4:\n%s", got)
				}
				run(start0(program, "delete", "-", "203.0.113.1", "1.1", "5712"))
				if out, err := here.Try(t, tool(program, "flush")); err != nil {
					t.Errorf("flush: %v %s", err, out)
				}
				if left := shell(t, "iptables -S; ipset save"); strings.Contains(left, "203.0.113") {
					t.Errorf("left over:\n%s", left)
				}
				if log := logOf(t, program); strings.Contains(log, " error - ") {
					t.Errorf("the log has errors:\n%s", log)
				}
			})
		}
	}
}

// TestHalfSwitched: iptables is legacy while iptables-restore is still over nf_tables, or the
// other way round: all goes into the tables of iptables, and what the other kind holds is moved.
func TestHalfSwitched(t *testing.T) {
	for i, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			bin := buildPrograms(t)
			attacker, victim := Hosts(t)
			program := filepath.Join(bin, "firewall-drop.sh")
			configure(t, bin, "[firewall]\nbackend = \"iptables\"\n")
			bindTools(t, chooseVariant(t, variants[1-i]))
			respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
			for _, name := range []string{"iptables", "ip6tables"} { // and not their -restore
				must(t, os.Remove("/etc/alternatives/"+name))
				must(t, os.Symlink(Program(t, name+"-"+variant), "/etc/alternatives/"+name))
			}
			answers(t, "switched", attacker, victim.V4, false)
			respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
			maintain(t, program)
			answers(t, "maintained", attacker, victim.V4, false)
			agrees(t, program)
			if got := shell(t, "iptables-"+variant+" -S OSSEC_AR"); strings.Count(got, " -j DROP") != 2 {
				t.Errorf("rules of %s:\n%s", variant, got)
			}
			if got := shell(t, "iptables-"+variants[1-i]+" -S"); strings.Contains(got, " -j DROP") {
				t.Errorf("rules of %s are left:\n%s", variants[1-i], got)
			}
			respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
			answers(t, "deleted", attacker, victim.V4, true)
		})
	}
}

// TestReadOnlyRun: where iptables cannot make its lock, it locks a file beside ours.
func TestReadOnlyRun(t *testing.T) {
	for _, backend := range []string{"iptables", "ipset", "auto"} {
		t.Run(backend, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\nbackend = \""+backend+"\"\n")
			bindTools(t, chooseVariant(t, "legacy"))
			attacker, victim := Hosts(t)
			_ = os.Remove("/run/xtables.lock") // needSets may have made it
			must(t, unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			program := filepath.Join(bin, "firewall-drop.sh")
			respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
			answers(t, "blocked", attacker, victim.V4, false)
			agrees(t, program)
			shell(t, "XTABLES_LOCKFILE=/tmp/lock iptables -F INPUT; rm -f /tmp/lock")
			heals(t, program)
			answers(t, "maintained", attacker, victim.V4, false)
			respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
			answers(t, "deleted", attacker, victim.V4, true)
		})
	}
}

// TestModulesMissing: the kernel has not what iptables is built on, and auto blocks by what it
// has. check says what is missing.
func TestModulesMissing(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needTables(t)
	bin := buildPrograms(t)
	tools := chooseVariant(t, "legacy")
	bindTools(t, tools)
	// The file is still called xtables-legacy-multi, by which the variant is known.
	must(t, isolate.Replace("xtables-legacy-multi", []byte("#!/bin/sh\necho \"iptables v1.8.9 (legacy): "+
		"can't initialize iptables table 'filter': Table does not exist (do you need to insmod?)\" >&2\nexit 3\n")))
	attacker, victim := Hosts(t)
	program := filepath.Join(bin, "firewall-drop.sh")
	for _, way := range []struct{ from, to netip.Addr }{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
		respond(t, program, "add", "-", way.from.String(), "1.1", "5712")
		answers(t, "blocked", attacker, way.to, false)
	}
	agrees(t, program)
	shell(t, "nft flush table inet ossec_ar")
	heals(t, program)
	answers(t, "maintained", attacker, victim.V4, false)
	var here Host
	out, _ := here.Try(t, tool(program, "check"))
	if !regexp.MustCompile(`(?m)^warn +firewall, IPv4 .*blocked by table inet ossec_ar, for iptables cannot work: .*Table does not exist.*\n +mend: .*(iptable_filter|/lib/modules)`).MatchString(out) {
		t.Errorf("check:\n%s", out)
	}
	respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
	answers(t, "deleted", attacker, victim.V4, true)
}

// TestNoRight: without CAP_NET_ADMIN nothing can be blocked but by host-deny; check says so.
func TestNoRight(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			bin := buildPrograms(t)
			bindTools(t, chooseVariant(t, variant))
			program := filepath.Join(bin, "firewall-drop.sh")
			var here Host
			without := func(cmd *exec.Cmd) (string, error) {
				return here.Try(t, role("without-capability", append([]string{fmt.Sprint(unix.CAP_NET_ADMIN)}, cmd.Args...)...))
			}
			if out, err := without(start0(program, "add", "-", "203.0.113.7", "1.1", "5712")); err == nil {
				t.Errorf("add: %s", out)
			}
			out, _ := without(tool(program, "check"))
			if !regexp.MustCompile(`(?m)^FAULT +firewall, IPv4 .*this process lacks the capability NET_ADMIN: .*\n +mend: give it to the container`).MatchString(out) || strings.Contains(out, "modprobe") {
				t.Errorf("check:\n%s", out)
			}
			if got := states(t, program)["203.0.113.7"]; !strings.HasPrefix(got, "waiting: ") {
				t.Errorf("it is %q", got)
			}
			heals(t, program) // with the right it is blocked
			if out, err := without(start0(filepath.Join(bin, "host-deny.sh"), "add", "-", "203.0.113.7", "1.1", "5712")); err != nil {
				t.Errorf("host-deny: %v %s", err, out)
			}
		})
	}
}
