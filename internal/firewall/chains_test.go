package firewall

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"golang.org/x/sys/unix"
)

func mustParse(t *testing.T, text string) chains {
	t.Helper()
	c, err := parseChains(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestParseChains: what iptables 1.8.9 prints, in both variants.
func TestParseChains(t *testing.T) {
	got := mustParse(t, `# Warning: iptables-legacy tables present, use iptables-legacy to see them
-P INPUT ACCEPT -c 5 300
-N OSSEC_AR
-A INPUT -c 3 180 -j OSSEC_AR
-A INPUT -i lo -c 0 0 -j ACCEPT
-A INPUT ! -i lo -c 0 0 -j LOG
-A INPUT -c 0 0 -g OSSEC_AR
-A INPUT ! -s 9.9.9.9/32 -m comment --comment "a \"b -j ACCEPT c" -c 0 0 -j LOG
-A OSSEC_AR -m set --match-set ossec_ar4 src -c 7 420 -j REJECT --reject-with icmp-port-unreachable
-A OSSEC_AR -s 203.0.113.7/32 -m comment --comment "why so" -c 9 540 -j DROP
-A OSSEC_AR -s 203.0.113.0/24 -c 9 540 -j DROP
`)
	want := chains{
		"INPUT": {
			{always: true, target: "OSSEC_AR", packets: 3, bytes: 180},
			{loopback: true, target: "ACCEPT"}, {target: "LOG"},
			{always: true, target: "OSSEC_AR", leaves: true}, {target: "LOG"},
		},
		"OSSEC_AR": {
			{set: "ossec_ar4", target: "REJECT", packets: 7, bytes: 420},
			{source: target.MustParse("203.0.113.7"), target: "DROP", packets: 9, bytes: 540},
			{target: "DROP", packets: 9, bytes: 540},
		},
	}
	opts := cmp.Options{cmp.AllowUnexported(rule{}), cmpopts.IgnoreFields(rule{}, "spec"),
		cmpopts.EquateComparable(target.Target{})}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got, want := joinWords(got["OSSEC_AR"][1].spec),
		`-s 203.0.113.7/32 -m comment --comment "why so" -j DROP`; got != want {
		t.Errorf("for iptables-restore: %s, want %s", got, want)
	}
	if _, err := parseChains("-A INPUT -c many 0 -j DROP\n"); err == nil {
		t.Error("counters that are no numbers are read")
	}
}

// TestBypass: what stands before the jump, and may accept.
func TestBypass(t *testing.T) {
	const jump = "-A INPUT -j OSSEC_AR\n"
	for _, tt := range []struct{ name, before, want string }{
		{"first", "", ""},
		{"behind a drop",
			"-A INPUT -s 192.0.2.0/24 -j DROP\n-A INPUT -j LOG --log-prefix \"ACCEPT \"\n-A INPUT -p tcp\n",
			""},
		{"behind loopback", "-A INPUT -i lo -j ACCEPT\n", ""},
		{"behind all but loopback", "-A INPUT ! -i lo -j ACCEPT\n", "rule 1, which accepts"},
		{"behind established",
			"-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n",
			"rule 2, which accepts"},
		{"behind a return to the policy", "-A INPUT -p tcp -j RETURN\n", "rule 1, which accepts"},
		{"behind fail2ban",
			"-N f2b\n-A INPUT -j f2b\n-A f2b -s 192.0.2.1/32 -j REJECT\n-A f2b -j RETURN\n", ""},
		{"behind a chain that accepts", "-N a\n-N b\n-A INPUT -p tcp -j a\n-A a -j b\n-A b -j ACCEPT\n",
			"rule 1, which accepts"},
		{"behind a goto", "-N a\n-A INPUT -g a\n", "rule 1, which accepts"},
		{"behind what nobody knows", "-A INPUT -j NFQUEUE\n", "rule 1, which accepts"},
		{"behind a ring", "-N a\n-A INPUT -j a\n-A a -j a\n", "rule 1, which accepts"},
		{"with a match", "-A INPUT -p tcp -j OSSEC_AR\n", "rule 1, which accepts"},
	} {
		ours := "-N OSSEC_AR\n"
		if tt.name == "with a match" {
			ours += "-A OSSEC_AR -j ACCEPT\n"
		}
		got := look(mustParse(t, ours+tt.before+jump).look).bypass("INPUT")
		if got != tt.want && got != "the jump in INPUT stands behind "+tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := look(mustParse(t,
		"-P INPUT ACCEPT\n-A INPUT -p tcp -j OSSEC_AR\n").look).bypass("INPUT"); got != "INPUT does not jump to OSSEC_AR" {
		t.Errorf("without a jump: %q", got)
	}
}

func TestForwardEntry(t *testing.T) {
	for text, want := range map[string]string{
		"-P FORWARD ACCEPT":                                      "FORWARD",
		"-N DOCKER-USER":                                         "FORWARD",
		"-N DOCKER-USER\n-A FORWARD -j DOCKER-USER":              "DOCKER-USER",
		"-N DOCKER-USER\n-A FORWARD -o eth0 -j DOCKER-USER":      "FORWARD",
		"-A FORWARD -j LOG\n-A FORWARD -j DOCKER-USER":           "DOCKER-USER",
		"-A FORWARD -p tcp -j ACCEPT\n-A FORWARD -j DOCKER-USER": "FORWARD",
	} {
		if got := look(mustParse(t, text).look).forwardEntry(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestSetRule(t *testing.T) {
	for text, want := range map[string]bool{
		"": false,
		"-A OSSEC_AR -m set --match-set ossec_ar4 src -j DROP":                                        true,
		"-A OSSEC_AR -m set --match-set ossec_ar4 src -j REJECT":                                      false,
		"-A OSSEC_AR -m set --match-set ossec_ar4 dst -j DROP":                                        false,
		"-A OSSEC_AR -m set ! --match-set ossec_ar4 src -j DROP":                                      false,
		"-A OSSEC_AR -m set --match-set theirs src -j DROP":                                           false,
		"-A OSSEC_AR -j RETURN\n-A OSSEC_AR -m set --match-set ossec_ar4 src -j DROP":                 false,
		"-A OSSEC_AR -s 192.0.2.1/32 -j RETURN\n-A OSSEC_AR -m set --match-set ossec_ar4 src -j DROP": true,
	} {
		all := mustParse(t, text)
		before, got := look(all.look).setRule(all[Chain], "ossec_ar4", "DROP")
		if got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if one, other := before.of(target.MustParse("192.0.2.1")), before.of(target.MustParse("192.0.2.2")); got &&
			((one == 0) != strings.Contains(text, "192.0.2.1") || other != -1) {
			t.Errorf("%q: past the set come 192.0.2.1 by %d, 192.0.2.2 by %d", text, one, other)
		}
	}
}

// TestAhead: what accepts an address or a network is before the blocks that share addresses with it.
func TestAhead(t *testing.T) {
	all := mustParse(t, `-A OSSEC_AR -s 2001:db8::/64 -j ACCEPT
-A OSSEC_AR -s 2001:db8:0:1::1/128 -j ACCEPT
-A OSSEC_AR -s 2001:db8::1/128 -j DROP
-A OSSEC_AR -s 2001:db8:0:1::/64 -j DROP
-A OSSEC_AR -s 2001:db8:0:2::1/128 -j DROP
-A OSSEC_AR -p tcp -j ACCEPT
-A OSSEC_AR -s 2001:db8:0:2::1/128 -j DROP
`)
	if got, want := look(all.look).ahead(all[Chain]), []int{-1, -1, 0, 1, -1, -1, 5}; !slices.Equal(got, want) {
		t.Errorf("ahead are %v, want %v", got, want)
	}
}

// TestReadRule: what iptables over nf_tables and nft write.
func TestReadRule(t *testing.T) {
	addr := target.MustParse("203.0.113.7")
	var r kernelRules
	r.add(counter(), verdict(unix.NFT_JUMP, Chain))
	r.add(loadSource(4), equals(addr.Addr().AsSlice()), counter(), verdict(0, ""))
	r.add(matchSet(2), counter(), verdict(0, ""))
	r.add(matchSet(3), counter(), verdict(0, ""))
	r.add(loadMeta(unix.NFT_META_IIFNAME), equals([]byte("lo\x00")), counter(), verdict(1, ""))
	r.add(loadMeta(unix.NFT_META_IIF), equals(binary.NativeEndian.AppendUint32(nil, 1)), verdict(1, ""))
	r.add(loadMeta(unix.NFT_META_IIF), equals(binary.NativeEndian.AppendUint32(nil, 2)), verdict(1, ""))
	r.add(expression("lookup", func(a *netlink.Attributes) {
		a.Text(unix.NFTA_LOOKUP_SET, "__map0")
		a.Uint32(unix.NFTA_LOOKUP_DREG, unix.NFT_REG_VERDICT)
	}))
	r.add(loadMeta(unix.NFT_META_NFPROTO), equals([]byte{unix.NFPROTO_IPV4}), loadSource(4),
		lookup("blocked4"), verdict(0, ""))
	r.add(loadMeta(unix.NFT_META_L4PROTO), equals([]byte{6}), verdict(unix.NFT_RETURN, ""))
	r.add(verdict(unix.NFT_GOTO, "theirs"))
	r.add(loadSource(4), equals(addr.Addr().AsSlice()), matchSet(2), verdict(0, ""))
	want := []rule{
		{always: true, target: Chain}, {source: addr, target: "DROP"},
		{set: anySet, target: "DROP"}, {target: "DROP"},
		{loopback: true, target: "ACCEPT"},
		{loopback: true, target: "ACCEPT"}, {target: "ACCEPT"}, {target: anyVerdict},
		{set: "blocked4", target: "DROP"}, {target: "RETURN"},
		{always: true, target: "theirs", leaves: true}, {target: "DROP"},
	}
	k := newFakeKernel()
	k.torn = 2
	k.chains[filter] = map[string][]byte{"INPUT": r.Attributes, "EMPTY": nil}
	table := nftTable{unix.NFPROTO_IPV4, filter}
	got, err := table.rules(k, "INPUT")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(rule{}),
		cmpopts.EquateComparable(target.Target{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for name, want := range map[string]bool{"INPUT": true, "EMPTY": true, "NONE": false} {
		if _, got := table.look(k)(name); got != want {
			t.Errorf("chain %s is there: %v, want %v", name, got, want)
		}
	}
	k.torn = 100
	if _, err := table.rules(k, "INPUT"); err == nil {
		t.Error("a list that never comes through is taken for whole")
	}
}

// FuzzWords: what is written for iptables-restore is read as the same words.
func FuzzWords(f *testing.F) {
	f.Add("-s 203.0.113.7/32", `a "b" \c`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, "\n") {
			return
		}
		words := []string{a, b}
		if d := cmp.Diff(words, splitWords(joinWords(words)), cmpopts.EquateEmpty()); d != "" && a != "" &&
			b != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// FuzzKernelAnswers: whatever the kernel of another version or architecture says, reading
// it ends, and in no crash.
func FuzzKernelAnswers(f *testing.F) {
	var r kernelRules
	r.add(loadSource(4), equals([]byte{1, 2, 3, 4}), counter(), verdict(0, ""))
	f.Add([]byte(r.Attributes))
	f.Fuzz(func(_ *testing.T, data []byte) {
		readRule(data, unix.NFPROTO_INET)
		nftSets[0].appendElements(nil, data)
		appendMembers(nil, data)
		_ = setOf(false).foreign(data, data)
		netconfForwards(data)
		linkForwards(data)
	})
}
