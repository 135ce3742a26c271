package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// rule is one rule of ours as the kernel holds it.
type rule struct {
	addr           netip.Addr
	spec           []string // without the chain and the counters
	packets, bytes uint64
}

// rules lists the rules of ours in the chain, duplicates included; none when there is
// no chain. (go-iptables' List would cost a run of `iptables --version` first.)
func (f family) rules(ctx context.Context) ([]rule, error) {
	out, err := exec.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-v", "-S", Chain)
	if absent(err) {
		// No chain, or a table that iptables cannot read: the whole table tells.
		out, err = exec.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-v", "-S")
	}
	if err != nil {
		return nil, err
	}
	var rules []rule
	for line := range strings.Lines(string(out)) {
		if r, ok := parseRule(strings.Fields(line)); ok {
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// parseRule reads `-A OSSEC_AR -s ADDRESS/BITS [-c PACKETS BYTES] -j DROP|REJECT ...`.
// A rule with any other match is not one of ours.
func parseRule(words []string) (rule, bool) {
	if len(words) < 6 || words[0] != "-A" || words[1] != Chain || words[2] != "-s" {
		return rule{}, false
	}
	prefix, err := netip.ParsePrefix(words[3])
	if err != nil || !prefix.IsSingleIP() {
		return rule{}, false
	}
	r := rule{addr: prefix.Addr()}
	rest := words[4:]
	for i, word := range rest {
		if word != "-c" || i+2 >= len(rest) {
			continue
		}
		var errs [2]error
		r.packets, errs[0] = strconv.ParseUint(rest[i+1], 10, 64)
		r.bytes, errs[1] = strconv.ParseUint(rest[i+2], 10, 64)
		if errors.Join(errs[:]...) != nil {
			return rule{}, false
		}
		rest = append(append([]string{}, rest[:i]...), rest[i+3:]...)
		break
	}
	if len(rest) < 2 || rest[0] != "-j" || rest[1] != "DROP" && rest[1] != "REJECT" {
		return rule{}, false
	}
	r.spec = append([]string{"-s", words[3]}, rest...)
	return r, true
}

// List implements enforcer.Enforcer: what any backend put anywhere, each address once, and
// idle only where all of it is. A host without ip6tables, or without IPv6, has no IPv6 rules.
func (e *Firewall) List(ctx context.Context) ([]enforcer.Block, error) {
	all := &listing{at: map[netip.Addr]int{}}
	inKernel, err := e.eachFamily(func(f family) error {
		rules, err := f.rules(ctx)
		if err != nil {
			return fmt.Errorf("listing rules: %w", err)
		}
		if rules, err = f.inForce(ctx, rules); err != nil {
			return err
		}
		all.addRules(ctx, f, rules, !f.usesRules())
		return nil
	})
	if err != nil || !inKernel {
		return all.blocks, err
	}
	c, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for _, v6 := range []bool{false, true} {
		f, _ := e.family(v6) // without the program it may be the table that is used
		in := func(used bool, idle func() string) func(enforcer.Block) {
			return func(b enforcer.Block) {
				b.Misplaced, b.Idle = !used, idle()
				all.add(b)
			}
		}
		for _, stray := range f.strays() {
			rules, err := stray.strayRules(ctx)
			if err == nil {
				rules, err = stray.inForce(ctx, rules)
			}
			if err != nil {
				return nil, fmt.Errorf("listing rules of %s: %w", stray.strayName(), err)
			}
			all.addRules(ctx, stray, rules, true)
		}
		if err := setOf(v6).members(c, in(f.usesSet(), sync.OnceValue(func() string { return f.idleMembers(ctx) }))); err != nil {
			return nil, fmt.Errorf("listing set %s: %w", setName(v6), err)
		}
		idleTable := e.idleTable(c)
		if err := ourTable().members(c, v6, in(f.usesTable(), func() string { return idleTable })); err != nil {
			return nil, fmt.Errorf("listing set %s of table inet %s: %w", nftSetName(v6), nftTableName, err)
		}
	}
	return all.blocks, nil
}

// listing is what List found so far, each address once.
type listing struct {
	blocks []enforcer.Block
	at     map[netip.Addr]int
}

func (l *listing) add(b enforcer.Block) {
	i, seen := l.at[b.Addr]
	if !seen {
		l.at[b.Addr] = len(l.blocks)
		l.blocks = append(l.blocks, b)
		return
	}
	was := &l.blocks[i]
	was.Counted = was.Counted || b.Counted
	was.Packets += b.Packets
	was.Bytes += b.Bytes
	was.Misplaced = was.Misplaced || b.Misplaced
	if was.Idle != "" {
		was.Idle = b.Idle
	}
}

func (l *listing) addRules(ctx context.Context, f family, rules []rule, misplaced bool) {
	if len(rules) == 0 {
		return
	}
	idle, _ := f.idle(ctx)
	for _, r := range rules {
		counted := r.spec != nil // else it was read without the program
		l.add(enforcer.Block{Addr: r.addr, Counted: counted, Packets: r.packets, Bytes: r.bytes, Misplaced: misplaced, Idle: idle})
	}
}

// eachFamily calls do for each program that is installed. It tells whether sets and the
// table of our own have to be looked at too.
func (e *Firewall) eachFamily(do func(family) error) (inKernel bool, err error) {
	var none error
	found := false
	for _, v6 := range []bool{false, true} {
		f, err := e.family(v6)
		if errors.Is(err, exec.ErrNotFound) {
			none = err
			continue
		}
		inKernel = inKernel || e.looksEverywhere(f)
		if _, err := os.Stat(filepath.Join(e.opts.Proc, "net/if_inet6")); v6 && err != nil {
			continue // the kernel has no IPv6
		}
		found = true
		if err := do(f); err != nil {
			return inKernel, err
		}
	}
	if !found {
		inKernel = e.looksEverywhere(family{})
	}
	if !found && e.opts.Backend != NFTables && !e.standsInForIPTables(none) {
		return inKernel, none
	}
	return inKernel, nil
}
