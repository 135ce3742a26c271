package firewall

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestMend: each damage is named, lets packets by, is mended once, and then all is well.
func TestMend(t *testing.T) {
	for _, tt := range []struct{ name, backend, damage, fault, change string }{
		{"no jump", IPTables, "iptables -F INPUT", "INPUT does not jump to OSSEC_AR",
			"made the jump in INPUT the first rule: INPUT does not jump to OSSEC_AR"},
		{"behind", IPTables, "iptables -I INPUT 1 -p tcp -j ACCEPT",
			"the jump in INPUT stands behind rule 1, which accepts",
			"made the jump in INPUT the first rule: the jump in INPUT stands behind rule 1, which accepts"},
		{"no set rule", IPSet, "iptables -F OSSEC_AR", "OSSEC_AR does not drop set ossec_ar4",
			"made OSSEC_AR drop set ossec_ar4"},
		{"of IPv6", IPTables, "ip6tables -F INPUT", "IPv6: INPUT does not jump to OSSEC_AR",
			"IPv6: made the jump in INPUT the first rule: INPUT does not jump to OSSEC_AR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, "xtables-legacy-multi", fakePrograms...)
			e := h.firewall(tt.backend)
			block(t, e, v4, enforcer.Known{})
			block(t, e, v6, enforcer.Known{})
			h.run(tt.damage)
			open := 0
			l := list(t, e)
			for _, b := range l.Blocks {
				if b.Open != "" {
					open++
				}
			}
			if open != 1 || !slices.Equal(l.Faults, []string{tt.fault}) {
				t.Errorf("%d are open, faults %q, want %q", open, l.Faults, tt.fault)
			}
			if got := findings(t, e); !strings.Contains(got, tt.fault[strings.LastIndex(tt.fault, ":")+1:]) {
				t.Errorf("Inspect: %s", got)
			}
			changes, err := e.Mend(t.Context())
			if err != nil || !slices.Equal(changes, []string{tt.change}) {
				t.Errorf("Mend: %q, %v, want %q", changes, err, tt.change)
			}
			changes, err = e.Mend(t.Context())
			if l := list(t, e); err != nil || len(changes)+len(l.Faults) > 0 || len(l.Blocks) != 2 {
				t.Errorf("Mend once more: %q, %v; listed %+v", changes, err, l)
			}
		})
	}
}

// TestMendOrder: a rule in our chain that accepts stays, behind all of ours.
func TestMendOrder(t *testing.T) {
	for _, backend := range []string{IPTables, IPSet, Auto} {
		for _, accept := range []string{"-m tcp -j RETURN", "-p tcp -j ACCEPT"} {
			h := newHost(t, "xtables-legacy-multi", fakePrograms...)
			e := h.firewall(backend, func(o *Options) { o.MaxRules = 1 })
			for i := range 3 {
				block(t, e, addr(i+1), enforcer.Known{Others: i})
			}
			h.run("iptables -I OSSEC_AR 1 " + accept)
			l := list(t, e)
			for _, b := range l.Blocks {
				if want := map[bool]string{true: "rule 1 of OSSEC_AR accepts", false: "OSSEC_AR does not drop set ossec_ar4"}[backend == IPTables || backend == Auto && b.Target == addr(1)]; b.Open != want {
					t.Errorf("%s: %s is open: %q, want %q", backend, b.Target, b.Open, want)
				}
			}
			if changes, err := e.Mend(t.Context()); err != nil || len(changes) == 0 {
				t.Errorf("%s: Mend: %q, %v", backend, changes, err)
			}
			if l := list(t, e); len(l.Faults) > 0 || len(l.Blocks) != 3 {
				t.Errorf("%s: after Mend: %+v", backend, l)
			}
			if got := h.run("iptables -S OSSEC_AR"); !strings.HasSuffix(strings.ReplaceAll(got, " -c 2 120", ""), "-A OSSEC_AR "+accept+"\n") {
				t.Errorf("%s: rules:\n%s", backend, got)
			}
		}
	}
}

// TestBlockAllBehind: what is blocked again goes ahead of what accepts.
func TestBlockAllBehind(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(IPTables)
	block(t, e, addr(1), enforcer.Known{})
	h.run("iptables -I OSSEC_AR 1 -p tcp -j ACCEPT")
	if err := e.BlockAll(t.Context(), []target.Target{addr(1), addr(2)}); err != nil {
		t.Fatal(err)
	}
	if l := list(t, e); len(l.Blocks) != 2 || l.Blocks[0].Open+l.Blocks[1].Open != "" {
		t.Errorf("listed %+v", l)
	}
	if got := h.run("iptables -S OSSEC_AR"); strings.Count(got, " -j DROP") != 2 {
		t.Errorf("rules:\n%s", got)
	}
}

// TestMoves: what another configuration left is listed, lifted, flushed, and moved by Mend.
func TestMoves(t *testing.T) {
	for _, tt := range []struct{ from, to string }{{IPTables, IPSet}, {IPSet, IPTables}, {IPSet, NFTables},
		{NFTables, IPTables}, {IPTables, NFTables}} {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			h := withTable(newHost(t, "xtables-legacy-multi", fakePrograms...))
			old, next := h.firewall(tt.from), h.firewall(tt.to)
			all := []target.Target{addr(1), addr(2), addr(3), v6}
			if err := old.BlockAll(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			if l := list(t, next); len(l.Blocks) != 4 || len(l.Faults) != 2 ||
				!strings.Contains(l.Faults[0], "3 addresses stand in ") {
				t.Errorf("listed %+v", l)
			}
			if err := errors.Join(next.Unblock(t.Context(), addr(1)),
				next.UnblockAll(t.Context(), all[1:2])); err != nil {
				t.Fatal(err)
			}
			changes, err := next.Mend(t.Context())
			if err != nil || len(changes) != 2 || !strings.Contains(changes[0], "moved 1 address from ") {
				t.Errorf("Mend: %q, %v", changes, err)
			}
			if l := list(t, next); len(l.Blocks) != 2 || len(l.Faults) > 0 {
				t.Errorf("after Mend: %+v", l)
			}
			if tt.from == IPSet && len(h.kernel.sets) > 0 {
				t.Errorf("sets are left: %v", h.kernel.sets)
			}
			if err := old.BlockAll(t.Context(), all); err != nil && tt.from != NFTables {
				t.Fatal(err)
			}
			if err := next.Flush(t.Context()); err != nil || len(list(t, old).Blocks) > 0 {
				t.Errorf("Flush: %v, listed %+v", err, list(t, old))
			}
		})
	}
}

// TestTarget: rules of another target are listed, and replaced by Mend.
func TestTarget(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	block(t, h.firewall(IPTables), v4, enforcer.Known{})
	e := h.firewall(IPTables, func(o *Options) { o.Target = "REJECT" })
	changes, err := e.Mend(t.Context())
	if err != nil || !slices.Equal(changes, []string{"gave 1 rule the target REJECT"}) {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	if got := h.run("iptables -S OSSEC_AR"); strings.Count(got, "-j REJECT") != 1 ||
		strings.Contains(got, "DROP") {
		t.Errorf("rules:\n%s", got)
	}
}

// TestForward: where the jump for forwarded packets goes.
func TestForward(t *testing.T) {
	for _, tt := range []struct {
		setting, sysctl string
		commands        []string
		want            []string
	}{
		{"auto", "1\n", nil, []string{"INPUT", "FORWARD"}},
		{"auto", "1\n", []string{"iptables -N DOCKER-USER", "iptables -I FORWARD -j DOCKER-USER"},
			[]string{"INPUT", "DOCKER-USER"}},
		{"auto", "1\n", []string{"iptables -N DOCKER-USER"}, []string{"INPUT", "FORWARD"}},
		{"always", "0\n", nil, []string{"INPUT", "FORWARD"}},
		{"never", "1\n", nil, []string{"INPUT"}},
	} {
		h := newHost(t, "xtables-legacy-multi", fakePrograms...)
		h.write("sys/net/ipv4/ip_forward", tt.sysctl)
		for _, command := range tt.commands {
			h.run(command)
		}
		e := h.firewall(IPTables, func(o *Options) { o.Forward = tt.setting })
		block(t, e, v4, enforcer.Known{})
		block(t, e, addr(8), enforcer.Known{Others: 1})
		var got []string
		for name, rules := range mustParse(t, h.run("iptables -S")) {
			if len(deleteJumps(name, rules)) == 1 {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, %q, %q: jumps in %q, want %q", tt.setting, tt.sysctl, tt.commands, got, tt.want)
		}
	}
}
