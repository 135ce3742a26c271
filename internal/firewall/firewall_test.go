package firewall

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

func TestContract(t *testing.T) {
	for _, backend := range []string{IPTables, IPSet, Auto} {
		for _, target := range []string{"DROP", "REJECT"} {
			t.Run(backend+"/"+target, func(t *testing.T) {
				h := newHost(t, "xtables-legacy-multi", fakePrograms...)
				enforcertest.Contract(t, h.firewall(backend, func(o *Options) { o.Target = target }))
			})
		}
	}
	t.Run("nftables", func(t *testing.T) {
		enforcertest.Contract(t, withTable(newHost(t, "none")).firewall(NFTables))
	})
}

// TestHotAdd: when all is as it should be, a rule takes one run of a program.
func TestHotAdd(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(Auto)
	if !block(t, e, v4, enforcer.Known{}).Made {
		t.Error("the first Block does not report that it made the place")
	}
	for _, tt := range []struct {
		known enforcer.Known
		want  []string
	}{
		{enforcer.Known{Others: 1},
			[]string{"iptables-restore -w 45 --noflush", "-C INPUT -j OSSEC_AR",
				"-I OSSEC_AR -s 203.0.113.8 -j DROP"}},
		{enforcer.Known{Leased: true, Others: 1},
			[]string{"iptables-restore -w 45 --noflush", "-C INPUT -j OSSEC_AR",
				"-C OSSEC_AR -s 203.0.113.8 -j DROP"}},
		{enforcer.Known{Leased: true, Others: 9},
			[]string{"iptables-restore -w 45 --noflush", "-C INPUT -j OSSEC_AR",
				"-C OSSEC_AR -s 203.0.113.8 -j DROP"}},
	} {
		before := len(h.commands("iptables"))
		if block(t, e, addr(8), tt.known).Made {
			t.Errorf("%+v: Block reports that it made the place", tt.known)
		}
		got := h.commands("iptables")[before:]
		got[0] = strings.Replace(got[0], "-w 44", "-w 45", 1)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.known, got, tt.want)
		}
	}
}

// TestAuto: a rule for each of the first, members of the set after that, wherever they are
// asked for again; rules where the set cannot be used.
func TestAuto(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(Auto)
	for i := range 4 {
		block(t, e, addr(i), enforcer.Known{Others: i})
	}
	set := h.kernel.sets["ossec_ar4"]
	if rules := h.run("iptables -S OSSEC_AR"); strings.Count(rules, " -s ") != 2 || set == nil ||
		len(set.members) != 2 || !set.members[addr(3)] {
		t.Errorf("rules\n%sset %+v, want two in each", rules, set)
	}
	block(t, e, addr(3), enforcer.Known{Leased: true, Others: 0})
	if rules := h.run("iptables -S OSSEC_AR"); strings.Count(rules, " -s ") != 2 {
		t.Errorf("a member became a rule:\n%s", rules)
	}
	if l := list(t, e); len(l.Blocks) != 4 || len(l.Faults) > 0 {
		t.Errorf("listed: %+v", l)
	}
	set.kind = "hash:net"
	out := block(t, e, addr(4), enforcer.Known{Others: 4})
	if len(out.Notes) != 1 ||
		!strings.Contains(out.Notes[0],
			"the set ossec_ar4 cannot be used, so all addresses become rules: adding 203.0.113.4 to set ossec_ar4: set ossec_ar4: somebody else made it (ipset destroy ossec_ar4 makes room for ours): it is of another kind") {
		t.Errorf("notes %q", out.Notes)
	}
	if err := e.BlockAll(t.Context(), []target.Target{addr(5)}); err != nil {
		t.Errorf("BlockAll: %v", err)
	}
	if set.members[addr(4)] || set.members[addr(5)] || len(list(t, e).Blocks) != 4 {
		t.Errorf("somebody else's set is written to or listed: %+v, %+v", set, list(t, e))
	}
	if err := errors.Join(e.Unblock(t.Context(), addr(4)), e.Flush(t.Context())); err != nil {
		t.Error(err)
	}
	if len(set.members) != 2 {
		t.Error("somebody else's set was emptied")
	}
}

// TestFullSet: the error says so; Mend makes a set as large as it may be by now.
func TestFullSet(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(IPSet, func(o *Options) { o.MaxAddresses = 2 })
	block(t, e, addr(1), enforcer.Known{})
	block(t, e, addr(2), enforcer.Known{})
	_, err := e.Block(t.Context(), addr(3), enforcer.Known{})
	for _, err := range []error{err, e.BlockAll(t.Context(), []target.Target{addr(3)})} {
		if !errors.Is(err, enforcer.ErrFull) ||
			!strings.Contains(err.Error(), "firewall.max_addresses is 2") {
			t.Errorf("got %v", err)
		}
	}
	if got := findings(t, e); !strings.Contains(got, "set ossec_ar4 has 2 members") {
		t.Errorf("Inspect: %s", got)
	}
	larger := h.firewall(IPSet)
	if l := list(t, larger); len(l.Faults) != 1 {
		t.Errorf("faults %q", l.Faults)
	}
	changes, err := larger.Mend(t.Context())
	if err != nil || len(changes) != 1 {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	block(t, larger, addr(3), enforcer.Known{Others: 2})
	if l := list(t, larger); len(l.Blocks) != 3 || len(l.Faults) > 0 || len(h.kernel.sets) != 1 {
		t.Errorf("listed %+v, sets %v", l, h.kernel.sets)
	}
}

func TestNew(t *testing.T) {
	for _, opts := range []Options{{Backend: "pf"}, {MaxRules: -1}, {MaxAddresses: -1}} {
		if e, err := New(opts); err == nil {
			t.Errorf("New(%+v) = %+v, want an error", opts, e)
		}
	}
	e, err := Kind.New(config.Default(), t.TempDir())
	if err != nil || e.(*Firewall).opts.LockPath == "" || e.(*Firewall).opts.Backend != Auto {
		t.Errorf("of the default configuration: %+v, %v", e, err)
	}
}

func TestDescribe(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	for backend, want := range map[string]string{
		Auto:     "ip6tables -I OSSEC_AR -s 2001:db8::7 -j DROP",
		IPTables: "ip6tables -I OSSEC_AR -s 2001:db8::7 -j DROP",
		IPSet:    "ipset add ossec_ar6 2001:db8::7",
		NFTables: "nft add element inet ossec_ar blocked6 { 2001:db8::7 }",
	} {
		if got := h.firewall(backend).Describe(v6); got != want {
			t.Errorf("%s: got %q, want %q", backend, got, want)
		}
	}
}
