package kernel

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestProgramSwitchesBackend: the administrator writes another backend into the
// configuration. Every lease stays and is in force at each moment, further responses work
// on what either made, and maintain moves all and leaves nothing of the old one behind.
func TestProgramSwitchesBackend(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			needTables(t)
			tools := chooseVariant(t, variant)
			bin := buildPrograms(t)
			bindTools(t, tools)
			program := filepath.Join(bin, "firewall-drop.sh")
			// A way through all pairs.
			way := []string{"iptables", "ipset", "nftables", "auto", "iptables", "nftables", "ipset", "auto", "nftables", "iptables", "auto", "ipset", "iptables"}
			var addrs []string
			for i := range 4 {
				addrs = append(addrs, fmt.Sprintf("198.18.0.%d", i), fmt.Sprintf("2001:db8::%d", i+1))
			}
			for i, backend := range way {
				configure(t, bin, "[firewall]\nmax_rules = 3\nbackend = \""+backend+"\"\n")
				if i == 0 {
					for _, addr := range addrs {
						respond(t, program, "add", "-", addr, "1.1", "5712")
					}
				}
				step := fmt.Sprintf("%d, %s", i, backend)
				if got := inForce(t, program); got != len(addrs) {
					t.Fatalf("%s: %d are in force, want %d", step, got, len(addrs))
				}
				switched(t, program, step, addrs[i%len(addrs)])
				if i > 0 {
					leftBehind(t, tools, step, way[i-1], backend)
				}
			}
		})
	}
}

// switched lets responses and maintain work under the new configuration.
func switched(t *testing.T, program, step, one string) {
	t.Helper()
	before := inForce(t, program)
	respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
	respond(t, program, "delete", "-", "203.0.113.7", "1.1", "5712")
	respond(t, program, "delete", "-", one, "1.1", "5712")
	if got := states(t, program)[one]; got != "" {
		t.Errorf("%s: %s is not lifted, it is %q", step, one, got)
	}
	respond(t, program, "add", "-", one, "1.1", "5712")
	heals(t, program)
	if after := inForce(t, program); after != before {
		t.Errorf("%s: %d were in force, and %d are", step, before, after)
	}
}

// leftBehind fails the test when any address of the old backend is left.
func leftBehind(t *testing.T, tools, step, old, backend string) {
	t.Helper()
	var here Host
	rules := here.Run(t, filepath.Join(tools, "iptables"), "-S") + here.Run(t, filepath.Join(tools, "ip6tables"), "-S")
	sets := here.Run(t, Program(t, "ipset"), "save")
	tables := here.Run(t, Program(t, "nft"), "list", "tables", "inet")
	if uses := []string{"auto", "iptables"}; !slices.Contains(uses, backend) && strings.Contains(rules, "-A OSSEC_AR -s ") {
		t.Errorf("%s: rules of %s are left:\n%s", step, old, rules)
	}
	if uses := []string{"auto", "ipset"}; !slices.Contains(uses, backend) && strings.Contains(sets, "add ossec_ar") {
		t.Errorf("%s: sets of %s are left:\n%s", step, old, sets)
	}
	if backend != "nftables" && strings.Contains(tables, "ossec_ar") {
		t.Errorf("%s: the table of %s is left:\n%s", step, old, tables)
	}
}
