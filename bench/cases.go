package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchCase is one response with one backend, and the floor that it is held against.
type benchCase struct {
	home, name, program string
	config              string // active-response.toml
	goal                float64
	// Each takes one address; add and delete are timed beside ours.
	floorAdd, floorDelete func(addr string) []string
	// floorFill makes the floor hold addresses, in bulk; its input follows the command.
	floorFill  []string
	floorInput func(addrs []string) string
	reset      []string // command lines that take everything away and make the floor's place
}

func line(before, after string) func(string) []string {
	return func(addr string) []string { return strings.Fields(before + " " + addr + " " + after) }
}

func each(format string, head, tail string) func([]string) string {
	return func(addrs []string) string {
		var b strings.Builder
		b.WriteString(head)
		for _, a := range addrs {
			fmt.Fprintf(&b, format, a)
		}
		b.WriteString(tail)
		return b.String()
	}
}

func cases(home string) []benchCase {
	clean := []string{
		"ip link set lo up", "iptables -w -F", "-iptables -w -X", "ip6tables -w -F", "-ip6tables -w -X",
		"-nft delete table inet ossec_ar", "-nft delete table inet floor", "-ipset destroy", "ip route flush table main", "ip -6 route flush table main",
	}
	with := func(more ...string) []string { return append(append([]string{}, clean...), more...) }
	deny := filepath.Join(home, "hosts.deny")
	copyOf := func(string) []string { return []string{"cp", deny, deny + ".copy"} }
	backend := func(name string) string { return "[firewall]\nbackend = \"" + name + "\"\n" }
	return []benchCase{
		{
			home: home, name: "firewall-drop iptables", program: "firewall-drop", config: backend("iptables"), goal: 3.5,
			floorAdd: line("iptables -w -I FLOOR -s", "-j DROP"), floorDelete: line("iptables -w -D FLOOR -s", "-j DROP"),
			floorFill: []string{"iptables-restore", "-w", "--noflush"}, floorInput: each("-A FLOOR -s %s -j DROP\n", "*filter\n", "COMMIT\n"),
			reset: with("iptables -w -N FLOOR", "iptables -w -A INPUT -j FLOOR"),
		},
		{
			home: home, name: "firewall-drop ipset", program: "firewall-drop", config: backend("ipset"), goal: 2.2,
			floorAdd: line("ipset add floor", ""), floorDelete: line("ipset del floor", ""),
			floorFill: []string{"ipset", "restore"}, floorInput: each("add floor %s\n", "", ""),
			reset: with("ipset create floor hash:ip maxelem 1000000 counters"),
		},
		{
			home: home, name: "firewall-drop nftables", program: "firewall-drop", config: backend("nftables"), goal: 2.2,
			floorAdd: line("nft add element inet floor s {", "}"), floorDelete: line("nft delete element inet floor s {", "}"),
			floorFill: []string{"nft", "-f", "-"}, floorInput: each("add element inet floor s { %s }\n", "", ""),
			reset: with("nft add table inet floor", "nft add set inet floor s { type ipv4_addr ; }"),
		},
		{
			home: home, name: "route-null", program: "route-null", goal: 1.8,
			floorAdd: line("ip route replace blackhole", "table 99"), floorDelete: line("ip route del blackhole", "table 99"),
			floorFill: []string{"ip", "-batch", "-"}, floorInput: each("route replace blackhole %s table 99\n", "", ""),
			reset: with("-ip route flush table 99"),
		},
		{
			home: home, name: "host-deny", program: "host-deny", config: "[host_deny]\nfile = \"" + deny + "\"\n", goal: 3,
			floorAdd: copyOf, floorDelete: copyOf,
			reset: with("rm -f " + deny),
		},
	}
}

func address(n int) string { return fmt.Sprintf("198.%d.%d.%d", 18+n/65536, n/256%256, n%256) }

func addresses(from, count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = address(from + i)
	}
	return out
}

func (c benchCase) path(program string) string {
	return filepath.Join(c.home, "active-response/bin", program)
}

func (c benchCase) call(action, addr string) []string {
	return []string{c.path(c.program), action, "-", addr, "1304756247.60385", "5712"}
}

// peer returns the peer's script, "" when there is none.
func (c benchCase) peer() string {
	path := filepath.Join(os.Getenv("PEER_DIR"), c.program+".sh")
	if _, err := os.Stat(path); os.Getenv("PEER_DIR") == "" || err != nil {
		return ""
	}
	return path
}

// prepare takes everything away and lets standing addresses be blocked, by ours and by
// the floor.
func (c benchCase) prepare(standing int) error {
	for _, command := range c.reset {
		may := strings.HasPrefix(command, "-") // it fails when there is nothing
		if err := execute(strings.Fields(strings.TrimPrefix(command, "-")), ""); err != nil && !may {
			return err
		}
	}
	state := filepath.Join(c.home, "var")
	if err := errors.Join(os.RemoveAll(state), os.WriteFile(filepath.Join(c.home, "etc/active-response.toml"), []byte(c.config), 0o644)); err != nil {
		return err
	}
	if err := execute(c.call("add", "198.51.100.1"), ""); err != nil { // makes the place and the lease file
		return err
	}
	if standing == 0 {
		return nil
	}
	addrs := addresses(0, standing)
	if err := execute([]string{c.path(c.program), "import", "-"}, strings.Join(addrs, "\n")+"\n"); err != nil {
		return err
	}
	if c.floorFill == nil {
		return nil
	}
	return execute(c.floorFill, c.floorInput(addrs))
}
