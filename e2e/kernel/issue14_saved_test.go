package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSavedFirewall: rules that iptables-save wrote while a set was in use are loaded after a
// boot, because prepare has made what they name; what they block that nobody leases any more is
// lifted by one maintain.
func TestSavedFirewall(t *testing.T) {
	for _, variant := range variants {
		for _, settings := range []string{"max_rules = 1", "backend = \"ipset\"", "backend = \"iptables\""} {
			t.Run(variant+"/"+settings, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				bin := buildPrograms(t)
				configure(t, bin, "[firewall]\n"+settings+"\n")
				bindTools(t, chooseVariant(t, variant))
				attacker, victim := Hosts(t)
				program := filepath.Join(bin, "firewall-drop.sh")
				respond(t, program, "add", "-", attacker.V4.String(), "1.1", "5712")
				for i := range 3 {
					respond(t, program, "add", "-", fmt.Sprintf("203.0.113.%d", i), "1.1", "5712")
				}
				save := "iptables-" + variant + "-save"
				shell(t, "iptables -A INPUT -p tcp --dport 23 -j DROP; mkdir -p /etc/iptables; "+save+" >/etc/iptables/rules.v4")
				respond(t, program, "delete", "-", attacker.V4.String(), "1.1", "5712")
				// The boot: nothing is left of what the kernel held.
				shell(t, "iptables -F; iptables -X; ip6tables -F; ip6tables -X; ipset destroy")
				var here Host
				if out, err := here.Try(t, start0("/bin/sh", "-c", path+"iptables-restore </etc/iptables/rules.v4")); (err == nil) != strings.Contains(settings, "\"iptables\"") {
					t.Errorf("without prepare the saved rules are loaded: %v %s", err, out)
				}
				shell(t, "iptables -F; iptables -X")
				ossecAR := filepath.Join(home(bin), "bin/ossec-ar")
				respond(t, ossecAR, "prepare")
				respond(t, ossecAR, "prepare") // once more does no harm
				if got := shell(t, "ipset list -t; iptables -S"); !strings.Contains(got, "Name: ossec_ar4") || !strings.Contains(got, "Name: ossec_ar6") || strings.Contains(got, "-j ") {
					t.Errorf("prepare made:\n%s", got)
				}
				shell(t, "iptables-restore </etc/iptables/rules.v4")
				if got := shell(t, "iptables -S INPUT"); !strings.Contains(got, "--dport 23 -j DROP") {
					t.Errorf("the administrator's rules are not there:\n%s", got)
				}
				heals(t, program)
				if got := inForce(t, program); got != 3 {
					t.Errorf("%d are in force, want 3", got)
				}
				answers(t, "maintained", attacker, victim.V4, true)
			})
		}
	}
}

// TestPrepareUnused: a host on which firewall-drop never blocked gets no sets.
func TestPrepareUnused(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needSets(t)
	bin := buildPrograms(t)
	respond(t, filepath.Join(home(bin), "bin/ossec-ar"), "prepare")
	if got := shell(t, "ipset list -n"); got != "" {
		t.Errorf("prepare made %q", got)
	}
}

// TestCheckSavedLines: check names each saved file with lines of ours; one that would be refused
// at boot is a fault.
func TestCheckSavedLines(t *testing.T) {
	if !Isolated(t) {
		return
	}
	bin := buildPrograms(t)
	program := filepath.Join(bin, "firewall-drop.sh")
	respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
	const rule, set = ":OSSEC_AR - [0:0]\n-A OSSEC_AR -s 203.0.113.9/32 -j DROP\n", "-A OSSEC_AR -m set --match-set ossec_ar4 src -j DROP\n"
	for path, text := range map[string]string{
		"/etc/iptables/rules.v4": "# ossec_ar is not saved\n*filter\n" + rule + set, "/etc/iptables/rules.v6": rule, "/etc/sysconfig/iptables": set,
		"/etc/sysconfig/ip6tables": set, "/etc/nftables.conf": "table inet ossec_ar {\n}\n", "/etc/ufw/after.rules": rule, "/etc/ufw/before.rules": "*filter\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	var here Host
	out, _ := here.Try(t, tool(program, "check"))
	for _, want := range []string{
		`FAULT +saved firewall .*/etc/iptables/rules\.v4:3: 3 saved lines`, `warn +saved firewall .*/etc/iptables/rules\.v6:1: 2 saved lines`,
		`FAULT +saved firewall .*/etc/sysconfig/iptables:1`, `FAULT +saved firewall .*/etc/sysconfig/ip6tables:1`,
		`warn +saved firewall .*/etc/nftables\.conf:1`, `warn +saved firewall .*/etc/ufw/after\.rules:1`,
	} {
		if !regexp.MustCompile("(?m)^" + want).MatchString(out) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "before.rules") {
		t.Errorf("check names a file without lines of ours:\n%s", out)
	}
	must(t, os.MkdirAll("/etc/systemd/system/multi-user.target.wants", 0o755))
	must(t, os.Symlink("../ossec-ar-prepare.service", "/etc/systemd/system/multi-user.target.wants/ossec-ar-prepare.service"))
	if out, _ = here.Try(t, tool(program, "check")); regexp.MustCompile("(?m)^FAULT +saved").MatchString(out) {
		t.Errorf("with the unit enabled it is a fault:\n%s", out)
	}
}

// TestCheckSavedByNFT: nft cannot load what it saves of iptables' rule on a set. check names that as the fault
// that it is, and what it says against it leaves a file that is loaded, with the administrator's sets.
func TestCheckSavedByNFT(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needSets(t)
	needTables(t)
	bin := buildPrograms(t)
	configure(t, bin, "[firewall]\nmax_rules = 1\n")
	bindTools(t, chooseVariant(t, "nft"))
	program := filepath.Join(bin, "firewall-drop.sh")
	const file = "/etc/nftables.conf"
	const theirs = "table inet filter {\n\tset ossec_ar4 { type ipv4_addr; }\n\tchain input {\n\t\tip saddr @ossec_ar4 drop\n\t}\n}\n"
	must(t, os.WriteFile(file, []byte(theirs), 0o644))
	var here Host
	if out, _ := here.Try(t, tool(program, "check")); strings.Contains(out, file) {
		t.Errorf("check takes the administrator's sets for ours:\n%s", out)
	}
	for i := range 2 {
		respond(t, program, "add", "-", fmt.Sprintf("203.0.113.%d", i), "1.1", "5712")
	}
	shell(t, "iptables -A INPUT -p tcp --dport 23 -j DROP; nft add table inet ossec_ar; nft add set inet ossec_ar x '{ type ipv4_addr; }'; "+
		"nft list ruleset >>"+file)
	loaded := func() (string, error) {
		return here.Try(t, start0("/bin/sh", "-c", path+"nft flush ruleset; nft -f "+file+" && nft list ruleset"))
	}
	out, _ := here.Try(t, tool(program, "check"))
	found := regexp.MustCompile(`(?m)^FAULT +saved firewall .*/etc/nftables\.conf:\d+: 3 saved lines.* nft cannot read: .*\n +mend: (sed .*)$`).FindStringSubmatch(out)
	if got, err := loaded(); err == nil || found == nil {
		t.Fatalf("check does not say that the file is refused (%v):\n%s\n%s", err, out, got)
	}
	shell(t, found[1])
	if got, err := loaded(); err != nil || !strings.Contains(got, "dport 23") || !strings.Contains(got, "@ossec_ar4 drop") || strings.Contains(got, "OSSEC_AR") || strings.Contains(got, "inet ossec_ar ") {
		t.Errorf("after %s: %v\n%s", found[1], err, got)
	}
}
