package kernel

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestForeignObjects: what somebody else made under a name or number of ours is the same after
// adds, deletes, maintain and flush as before, whatever response does them.
func TestForeignObjects(t *testing.T) {
	for _, tt := range []struct {
		name, response, settings string
		made, shows              string // commands
		refused                  string // what the add says; "" where it works beside it
	}{
		{"set", "firewall-drop", "max_rules = 1", "ipset create ossec_ar4 hash:net; ipset add ossec_ar4 198.51.100.1", "ipset save ossec_ar4", ""},
		{"set, by ipset", "firewall-drop", "backend = \"ipset\"", "ipset create ossec_ar4 hash:net; ipset add ossec_ar4 198.51.100.1", "ipset save ossec_ar4",
			"set ossec_ar4: somebody else made it (ipset destroy ossec_ar4 makes room for ours): it is of another kind"},
		{"table", "firewall-drop", "backend = \"nftables\"", "nft 'add table inet ossec_ar; add set inet ossec_ar blocked4 { type ipv4_addr; flags interval; }; add element inet ossec_ar blocked4 { 198.51.100.0/24 }'",
			"nft list table inet ossec_ar", "set blocked4 is of another kind"},
		{"table of another use", "firewall-drop", "backend = \"nftables\"",
			"nft 'add table inet ossec_ar; add chain inet ossec_ar input { type filter hook input priority -10; }; add rule inet ossec_ar input tcp dport 9999 drop'",
			"nft list table inet ossec_ar", "chain input has rules, and there are no sets"},
		{"table beside rules", "firewall-drop", "max_rules = 1", "nft 'add table inet ossec_ar; add set inet ossec_ar blocked4 { type ipv4_addr; flags interval; }; add element inet ossec_ar blocked4 { 198.51.100.1 }'",
			"nft list table inet ossec_ar", ""},
		{"rules in the chain", "firewall-drop", "backend = \"iptables\"",
			"iptables -N OSSEC_AR; iptables -A OSSEC_AR -s 198.51.100.0/24 -j DROP; iptables -A OSSEC_AR -s 198.51.100.1 -p udp -j DROP; iptables -A OSSEC_AR -i eth9 -j REJECT",
			"iptables -S OSSEC_AR", ""},
		{"route to a network", "route-null", "", "ip route add blackhole 198.51.100.0/24 proto 214; ip route add blackhole 198.51.100.1 proto static", "ip route show table main", ""},
		{"route of another table", "route-null", "", "ip route add blackhole 198.51.100.1 proto 214 table 99", "ip route show table 99", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			needSets(t)
			needTables(t)
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\n"+tt.settings+"\n")
			program := filepath.Join(bin, tt.response+".sh")
			shell(t, tt.made)
			before := shell(t, tt.shows)
			var here Host
			addrs := []string{"203.0.113.7", "203.0.113.8"}
			for _, addr := range addrs {
				out, err := here.Try(t, start0(program, "add", "-", addr, "1.1", "5712"))
				if (err != nil) != (tt.refused != "") || !strings.Contains(out, tt.refused) {
					t.Errorf("add: %v %q, want %q", err, out, tt.refused)
				}
			}
			if _, listed := states(t, program)["198.51.100.1"]; listed {
				t.Error("what is somebody else's is listed as a block")
			}
			if out, err := here.Try(t, tool(program, "maintain")); (err != nil) != (tt.refused != "") {
				t.Errorf("maintain: %v %s", err, out)
			}
			if tt.refused != "" {
				if out, _ := here.Try(t, tool(program, "check")); !strings.Contains(out, tt.refused) {
					t.Errorf("check does not say %q:\n%s", tt.refused, out)
				}
			}
			for _, addr := range append(addrs, "198.51.100.1") {
				if out, err := here.Try(t, start0(program, "delete", "-", addr, "1.1", "5712")); err != nil {
					t.Errorf("delete of %s: %v %s", addr, err, out)
				}
			}
			if out, err := here.Try(t, tool(program, "flush")); err != nil {
				t.Errorf("flush: %v %s", err, out)
			}
			if after := shell(t, tt.shows); after != before {
				t.Errorf("it is\n%s\nand was\n%s", after, before)
			}
		})
	}
}
