package firewall

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestForeignSet: nothing is written to a set that somebody else made, and the error names it.
func TestForeignSet(t *testing.T) {
	for why, change := range map[string]func(*fakeSet){
		"it is of another kind": func(s *fakeSet) {
			s.family = unix.NFPROTO_IPV6
		},
		"it has a timeout, by which blocks end by themselves": func(s *fakeSet) { s.timeout = true },
	} {
		h := newHost(t, "xtables-legacy-multi", fakePrograms...)
		s := &fakeSet{kind: "hash:ip", family: unix.NFPROTO_IPV4, revision: 6, size: 9,
			members: map[target.Target]bool{v4: true}}
		change(s)
		h.kernel.sets["ossec_ar4"] = s
		e := h.firewall(IPSet)
		_, err := e.Block(t.Context(), addr(8), enforcer.Known{})
		for _, err := range []error{err, e.BlockAll(t.Context(), []target.Target{addr(8)})} {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("got %v, want %q", err, why)
			}
		}
		if _, err := e.Mend(t.Context()); err == nil {
			t.Error("Mend finds nothing wrong")
		}
		if err := errors.Join(e.Unblock(t.Context(), v4), e.UnblockAll(t.Context(), []target.Target{v4}),
			e.Flush(t.Context())); err != nil {
			t.Error(err)
		}
		if l := list(t, e); len(s.members) != 1 || len(l.Blocks) > 0 {
			t.Errorf("%s: the set has %d members, listed %+v", why, len(s.members), l)
		}
		if got := findings(t, e); !strings.Contains(got, why) {
			t.Errorf("Inspect: %s", got)
		}
	}
}

// TestOneFamily: what is wrong with a family is its own affair.
func TestOneFamily(t *testing.T) {
	for name, harm := range map[string]func(h fakeHost){
		"no IPv6 in the kernel":    func(h fakeHost) { _ = os.Remove(filepath.Join(h.proc, "net/if_inet6")) },
		"no IPv6 in ip6tables":     func(h fakeHost) { h.breaks("ip6tables", "3") },
		"no ip6tables":             func(h fakeHost) { _ = os.Remove(filepath.Join(h.dir, "ip6tables")) },
		"no ip6tables-restore":     func(h fakeHost) { _ = os.Remove(filepath.Join(h.dir, "ip6tables-restore")) },
		"ip6tables cannot read":    func(h fakeHost) { h.breaks("ip6tables", "4") },
		"ip6tables says no to all": func(h fakeHost) { h.breaks("ip6tables", "1") },
	} {
		broken := strings.HasPrefix(name, "ip6tables ")
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "xtables-legacy-multi", fakePrograms...)
			harm(h)
			e := h.firewall(IPTables)
			block(t, e, addr(1), enforcer.Known{})
			if err := e.BlockAll(t.Context(), []target.Target{addr(2), v6}); err == nil {
				t.Error("BlockAll of IPv6 reports success")
			}
			if l := list(t, e); len(l.Blocks) != 2 || (len(l.Faults) > 0) != broken {
				t.Errorf("listed %+v", l)
			}
			if _, err := e.Block(t.Context(), v6, enforcer.Known{}); err == nil ||
				!strings.HasPrefix(err.Error(), "adding rule for 2001:db8::7: ") {
				t.Errorf("Block: %v", err)
			}
			_, mendErr := e.Mend(t.Context())
			for what, err := range map[string]error{
				"Unblock": e.Unblock(t.Context(), v6), "Mend": mendErr, "Flush": e.Flush(t.Context()),
				"UnblockAll": e.UnblockAll(t.Context(), []target.Target{addr(2), v6}),
			} {
				if (err != nil) != broken {
					t.Errorf("%s: %v", what, err)
				}
			}
			if got := h.run("iptables -S OSSEC_AR"); strings.Contains(got, " -s ") {
				t.Errorf("left over:\n%s", got)
			}
			_ = e.Inspect(t.Context(), "")
		})
	}
	h := newHost(t, "none")
	e := h.firewall(IPTables)
	if _, err := e.List(t.Context()); !errors.Is(err, exec.ErrNotFound) || Kind.Hint(err) == "" {
		t.Errorf("List without any: %v", err)
	}
	if got := findings(t, e); strings.Count(got, "install iptables") != 2 {
		t.Errorf("Inspect: %s", got)
	}
}

// TestBesideOthers: a chain that somebody takes away again and again is an error in the end.
func TestBesideOthers(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(IPTables)
	h.breaks("iptables", "1")
	if _, err := e.Block(t.Context(), v4, enforcer.Known{}); err == nil ||
		!strings.Contains(err.Error(),
			"adding rule for 203.0.113.7: listing rules: iptables: exit status 1") {
		t.Errorf("Block: %v", err)
	}
	h.breaks("iptables", "")
	block(t, e, v4, enforcer.Known{})
	h.run("iptables -A OSSEC_AR -s 203.0.113.7 -j DROP")
	if err := e.Unblock(t.Context(), v4); err != nil {
		t.Fatal(err)
	}
	if got := h.run("iptables -S OSSEC_AR"); strings.Contains(got, " -s ") {
		t.Errorf("a second rule on it stays:\n%s", got)
	}
}

// TestOverNFT: over nf_tables the kernel is asked about chain and rules; no program runs when
// all is as it should be.
func TestOverNFT(t *testing.T) {
	h := newHost(t, "xtables-nft-multi", fakePrograms...)
	e := h.firewall(IPSet)
	block(t, e, addr(1), enforcer.Known{})
	before := len(h.commands("iptables"))
	var input, ours, accepts kernelRules
	input.add(counter(), verdict(unix.NFT_JUMP, Chain))
	ours.add(matchSet(2), counter(), verdict(0, ""))
	h.kernel.chains[filter] = map[string][]byte{"INPUT": input.Attributes, Chain: ours.Attributes}
	if block(t, e, addr(2), enforcer.Known{}).Made {
		t.Error("Block reports that it made the place")
	}
	if err := e.Unblock(t.Context(), addr(2)); err != nil {
		t.Fatal(err)
	}
	if got := h.commands("iptables")[before:]; len(got) > 0 {
		t.Errorf("programs ran: %q", got)
	}
	accepts.add(verdict(1, ""))
	h.kernel.chains[filter]["INPUT"] = append(accepts.Attributes, input.Attributes...)
	block(t, e, addr(3), enforcer.Known{})
	if got := h.commands("iptables")[before:]; len(got) == 0 {
		t.Error("a jump behind what accepts is not looked at")
	}
}

// TestRulesOverNFT: over nf_tables a rule takes one run of iptables, and none when it stands; the kernel
// says whether packets come to it.
func TestRulesOverNFT(t *testing.T) {
	h := newHost(t, "xtables-nft-multi", fakePrograms...)
	e := h.firewall(IPTables)
	block(t, e, addr(1), enforcer.Known{})
	var input, ours kernelRules
	input.add(counter(), verdict(unix.NFT_JUMP, Chain))
	ours.add(loadSource(4), equals(addr(2).Addr().AsSlice()), counter(), verdict(0, ""))
	h.kernel.chains[filter] = map[string][]byte{"INPUT": input.Attributes, Chain: ours.Attributes}
	for _, tt := range []struct {
		name string
		call func()
		want string // the only command; "" for none
	}{
		{"add", func() { block(t, e, addr(2), enforcer.Known{Others: 1}) }, "-I"},
		{"add again", func() { block(t, e, addr(2), enforcer.Known{Leased: true}) }, ""},
		{"delete", func() { must(t, 0, e.Unblock(t.Context(), addr(2))) }, "-D"},
		{"delete what is not there", func() { must(t, 0, e.Unblock(t.Context(), addr(3))) }, ""},
	} {
		before := len(h.commands("iptables"))
		tt.call()
		got := h.commands("iptables")[before:]
		if tt.want == "" && len(got) > 0 ||
			tt.want != "" && (len(got) != 1 ||
				!strings.HasSuffix(got[0], "-t filter "+tt.want+" OSSEC_AR -s 203.0.113.2 -j DROP")) {
			t.Errorf("%s: %q ran, want %q alone", tt.name, got, tt.want)
		}
	}
	block(t, e, addr(4), enforcer.Known{Leased: true}) // its rule is gone
	h.kernel.chains[filter]["INPUT"] = nil
	block(t, e, addr(5), enforcer.Known{}) // and so is the jump
	if got := h.run("iptables -S OSSEC_AR"); strings.Count(got, "203.0.113.4/32") != 1 ||
		strings.Count(got, "203.0.113.5/32") != 1 {
		t.Errorf("the chain is\n%s", got)
	}
}

// TestFallBackToLegacy: on a kernel without nf_tables the legacy iptables is used, and Inspect
// says why.
func TestFallBackToLegacy(t *testing.T) {
	h := withStrays(t)
	h.kernel.noTables = true
	h.breaks("iptables", "1")
	e := h.firewall(Auto)
	block(t, e, addr(1), enforcer.Known{})
	if err := e.BlockAll(t.Context(), []target.Target{addr(2), addr(3)}); err != nil {
		t.Fatal(err)
	}
	if l := list(t, e); len(l.Blocks) != 3 {
		t.Errorf("listed %+v", l)
	}
	if got := findings(t, e); !strings.Contains(got, "for iptables cannot work: ") || !strings.Contains(got, "of iptables-legacy") {
		t.Errorf("Inspect: %s", got)
	}
	if err := errors.Join(e.Unblock(t.Context(), addr(1)), e.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := h.run("iptables-legacy -S OSSEC_AR"); strings.Contains(got, " -s ") {
		t.Errorf("left over:\n%s", got)
	}
}

// TestStray: rules of the other variant of iptables are listed, lifted and moved.
func TestStray(t *testing.T) {
	h := withStrays(t)
	h.run("iptables-legacy -N OSSEC_AR")
	for i := range 3 {
		h.run("iptables-legacy -A OSSEC_AR -s " + addr(i).String() + " -j DROP")
	}
	e := h.firewall(IPTables)
	if l := list(t, e); len(l.Blocks) > 0 {
		t.Errorf("the table of legacy iptables is looked at, which makes it: %+v", l)
	}
	h.write("thread-self/net/ip_tables_names", "nat\nfilter\n")
	if l := list(t, e); len(l.Blocks) != 3 || l.Blocks[0].Open == "" || len(l.Faults) != 1 {
		t.Errorf("listed %+v", l)
	}
	if err := e.Unblock(t.Context(), addr(0)); err != nil {
		t.Fatal(err)
	}
	changes, err := e.Mend(t.Context())
	if err != nil ||
		!slices.Equal(changes,
			[]string{"moved 2 addresses from chain OSSEC_AR of iptables-legacy to chain OSSEC_AR of iptables"}) {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	if l := list(t, e); len(l.Blocks) != 2 || len(l.Faults) > 0 {
		t.Errorf("listed %+v", l)
	}
}

func TestTable(t *testing.T) {
	h := withTable(newHost(t, "none"))
	e := h.firewall(Auto)
	if got := e.Describe(v6); got != "nft add element inet ossec_ar blocked6 { 2001:db8::7 }" {
		t.Errorf("Describe: %s", got)
	}
	block(t, e, v4, enforcer.Known{})
	h.kernel.tables["blocked4"].size = 1
	if _, err := e.Block(t.Context(), addr(8), enforcer.Known{}); !errors.Is(err, enforcer.ErrFull) {
		t.Errorf("Block beyond what fits: %v", err)
	}
	whole := h.kernel.chains[nftTableName]["input"]
	h.kernel.chains[nftTableName]["input"] = nil
	if l := list(t, e); len(l.Blocks) != 1 ||
		l.Blocks[0].Open != "chain input of table inet ossec_ar does not drop set blocked4" {
		t.Errorf("listed %+v", l)
	}
	h.kernel.chains[nftTableName]["input"] = whole
	h.kernel.tables["blocked4"].flags = unix.NFT_SET_TIMEOUT
	if _, err := e.Block(t.Context(), addr(8), enforcer.Known{}); err == nil ||
		!strings.Contains(err.Error(), "somebody else made it") {
		t.Errorf("Block beside a set with a timeout: %v", err)
	}
	if got := findings(t, e); !strings.Contains(got, "has a timeout") {
		t.Errorf("Inspect: %s", got)
	}
}
