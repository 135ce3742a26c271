package main

import (
	"fmt"
	"os"
	"strings"
)

// benchCase is one response with one backend, and the floors that it is held against. In
// command lines HOME stands for the home of the host, ADDR for the address, and one that
// begins with a minus may fail.
type benchCase struct {
	name, program string
	config        string   // active-response.toml
	floors        []floor  // none where only packets take another way
	most          int      // of standing blocks; 0: as many as asked for
	flat          bool     // whether its time must not grow with what stands
	filters       bool     // whether each packet passes through it
	waitingGoal   float64  // calls a second over the peer's, by a daemon that waits; 0: not measured
	peers         bool     // whether the peer's script does what this does
	peerPlace     []string // what the peer's script needs, that it may find its place
	peerShows     []string // what prints the blocks of the peer's program
	shows         []string // what prints the blocks, but for the program itself
	away          []string // what takes all blocks away behind the program's back
}

// floor is a bare command that does the least for the same end.
type floor struct {
	name, deleteName string
	addGoal          float64 // ours may take so many times as long; 0: not judged
	deleteGoal       float64
	judgedAt         int      // the number of standing blocks that the goal names; 0: it names none
	from, below      int      // the numbers of standing blocks for which it is the floor
	place            []string // what makes room for it
	add, delete      string
	after            string // runs after each, untimed
	// fill lets many addresses stand, from the file HOME/fill: head, a line for each, tail.
	fill             string
	head, each, tail string
}

var iptablesFloor = floor{
	name: "iptables -w -I", deleteName: "iptables -w -D", addGoal: 3, deleteGoal: 3,
	place: []string{"iptables -w -N FLOOR", "iptables -w -A INPUT -j FLOOR"},
	add:   "iptables -w -I FLOOR -s ADDR -j DROP", delete: "iptables -w -D FLOOR -s ADDR -j DROP",
	fill: "iptables-restore -w --noflush HOME/fill", head: "*filter\n",
	each: "-A FLOOR -s %s -j DROP\n", tail: "COMMIT\n",
}

var ipsetFloor = floor{
	name: "ipset add", deleteName: "ipset del", addGoal: 2.2, deleteGoal: 2.2,
	place: []string{"ipset create floor hash:ip maxelem 1000000 counters"},
	add:   "ipset add floor ADDR", delete: "ipset del floor ADDR",
	fill: "ipset restore -file HOME/fill", each: "add floor %s\n",
}

var nftFloor = floor{
	name: "nft add element", deleteName: "nft delete element", addGoal: 2.2, deleteGoal: 2.2,
	place: []string{"nft add table inet floor", "nft add set inet floor s { type ipv4_addr ; }"},
	add:   "nft add element inet floor s { ADDR }", delete: "nft delete element inet floor s { ADDR }",
	fill: "nft -f HOME/fill", each: "add element inet floor s { %s }\n",
}

var routeFloor = floor{
	name: "ip route replace", deleteName: "ip route del", addGoal: 1.6, deleteGoal: 1.6,
	add: "ip route replace blackhole ADDR", delete: "ip route del blackhole ADDR",
	fill: "ip -batch HOME/fill", each: "route replace blackhole %s\n",
}

// denyFloor is the goal's: cp, at its fastest, to a name that is not there. (To one that is
// there ext4 has the old blocks' successors on their way to the disk when the copy is closed,
// ext4(5) auto_da_alloc.) The goal names 10,000 entries.
var denyFloor = floor{
	name: "cp", deleteName: "cp", addGoal: 2.4, deleteGoal: 3, judgedAt: 10_000,
	place: []string{"touch HOME/hosts.deny"},
	add:   "cp HOME/hosts.deny HOME/copy", delete: "cp HOME/hosts.deny HOME/copy", after: "rm HOME/copy",
	fill: "cp HOME/fill HOME/hosts.deny", each: "ALL:%s\n",
}

// syncFloor is a copy that is on the disk when the command ends, as an entry of host-deny is.
var syncFloor = floor{
	name: "dd conv=fsync", deleteName: "dd conv=fsync",
	add:    "dd if=HOME/hosts.deny of=HOME/copy bs=4M conv=fsync status=none",
	delete: "dd if=HOME/hosts.deny of=HOME/copy bs=4M conv=fsync status=none", after: "rm HOME/copy",
}

// etcOfItsOwn lays a folder of the host's over /etc, for stock scripts know one hosts.deny only.
var etcOfItsOwn = []string{
	"mkdir HOME/upper HOME/work",
	"mount -t overlay -o lowerdir=/etc,upperdir=HOME/upper,workdir=HOME/work overlay /etc",
	"cp HOME/hosts.deny /etc/hosts.deny",
}

func backend(name string) string { return "[firewall]\nbackend = \"" + name + "\"\n" }

// cases are all responses and backends. Of plain rules only 10,000 stand: the kernel takes
// tens of seconds for 100,000, and the default backend has later ones in a set.
var cases = []benchCase{
	{
		name: "firewall-drop iptables", program: "firewall-drop", config: backend("iptables"),
		floors: []floor{iptablesFloor}, most: 10_000, peers: true, filters: true,
		shows: []string{"iptables -w -S OSSEC_AR"}, away: []string{"iptables -w -F"},
	},
	{
		name: "firewall-drop ipset", program: "firewall-drop", config: backend("ipset"),
		floors: []floor{ipsetFloor}, flat: true, filters: true,
		shows: []string{"ipset save ossec_ar4"}, away: []string{"ipset flush"},
	},
	{
		name: "firewall-drop early", program: "firewall-drop", config: backend("ipset") + "early = true\n",
		filters: true,
	},
	{
		name: "firewall-drop nftables", program: "firewall-drop", config: backend("nftables"),
		floors: []floor{ipsetFloor, nftFloor}, flat: true, filters: true,
		shows: []string{"nft list table inet ossec_ar"}, away: []string{"nft delete table inet ossec_ar"},
	},
	{
		name: "firewall-drop auto", program: "firewall-drop", config: backend("auto"),
		floors: []floor{whenRules(iptablesFloor), whenSet(ipsetFloor)}, filters: true, waitingGoal: 1.5,
		peerShows: []string{"iptables -w -S INPUT"},
		shows:     []string{"iptables -w -S OSSEC_AR", "ipset save ossec_ar4"},
		away:      []string{"iptables -w -F", "ipset flush"},
	},
	{
		name: "route-null", program: "route-null",
		floors: []floor{routeFloor}, peers: true, waitingGoal: 1, peerShows: []string{"ip route show"},
		shows: []string{"ip route show proto 214"}, away: []string{"ip route flush proto 214"},
	},
	{
		name: "host-deny", program: "host-deny", config: "[host_deny]\nfile = \"HOME/hosts.deny\"\n",
		floors: []floor{denyFloor, syncFloor}, peers: true, peerPlace: etcOfItsOwn, waitingGoal: 0.7,
		peerShows: []string{"cat /etc/hosts.deny"},
		shows:     []string{"cat HOME/hosts.deny"}, away: []string{"rm HOME/hosts.deny"},
	},
}

// maxRules is how many addresses the default backend makes rules (firewall.max_rules).
const maxRules = 16

// whenRules and whenSet hold auto against what it does then.
func whenRules(f floor) floor { f.below = maxRules; return f }
func whenSet(f floor) floor   { f.from = maxRules; return f }

func (f floor) holds(standing int) bool {
	return standing >= f.from && (f.below == 0 || standing < f.below)
}

// goalAt returns the goal of an action with so many standing blocks, 0 when there is none.
func (f floor) goalAt(standing int, action string) float64 {
	switch {
	case f.judgedAt != 0 && f.judgedAt != standing:
		return 0
	case action == "delete":
		return f.deleteGoal
	}
	return f.addGoal
}

// configure writes the configuration and lets the program make its place: chain, set, table
// and lease file.
func (c benchCase) configure(h *host) error {
	config := strings.ReplaceAll(c.config, "HOME", h.home)
	if err := os.WriteFile(h.file("etc/active-response.toml"), []byte(config), 0o644); err != nil {
		return err
	}
	for _, action := range []string{"add", "delete"} {
		if _, err := h.run(c.call(h, action, "198.51.100.1")); err != nil {
			return err
		}
	}
	return nil
}

func (c benchCase) call(h *host, action, addr string) []string {
	return ossecCall(h, c.program, action, addr)
}

// ossecCall is how OSSEC's daemon calls a program.
func ossecCall(h *host, program, action, addr string) []string {
	return []string{h.path(program), action, "-", addr, "1304756247.60385", "5712"}
}

func address(n int) string { return fmt.Sprintf("198.%d.%d.%d", 18+n/65536, n/256%256, n%256) }

func addresses(from, count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = address(from + i)
	}
	return out
}
