package firewall

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// rules blocks each address by a rule in our chain, so that `iptables -L OSSEC_AR -n` shows it.
type rules struct{ *side }

func (r rules) name() string { return "chain " + Chain + " of " + r.inTable(filepath.Base(r.program)) }

// inTable returns a program with the option for our table, where that is not its usual one.
func (r rules) inTable(program string) string {
	if r.table == filter {
		return program
	}
	return program + " -t " + r.table
}

func (r rules) describe(addr target.Target) string {
	return fmt.Sprintf("%s -I %s -s %s -j %s", r.inTable(familyName(r.v6, "")), Chain, addr, r.opts.Target)
}

// spec is the rule of one address or network, without its chain. iptables over nf_tables (1.8.9)
// compares no masks when it looks for a rule to check or delete: without the comment it takes the
// network 2001:db8::/64 for the address 2001:db8::.
func (r rules) spec(addr target.Target) string {
	match := addr.String()
	if !addr.IsSingle() {
		match += fmt.Sprintf(" -m comment --comment net%d", addr.Prefix().Bits())
	}
	return "-s " + match + " -j " + r.opts.Target
}

// add takes one run of a program when the place stands; whatever fails leads to looking at everything
// and making what is missing. A rule goes to the head of the chain: behind one of somebody else's that
// accepts it would not be in force.
func (r rules) add(ctx context.Context, addr target.Target, known enforcer.Known) (enforcer.Outcome, error) {
	err := r.quick(ctx, addr, known.Leased)
	if err != nil && !r.isFinal(ctx, err) {
		return r.ensure(ctx, addr)
	}
	if err != nil {
		err = fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	return enforcer.Outcome{Already: known.Leased && err == nil}, err
}

// quick adds a rule, or finds the one that stands, and fails where packets get by our chain: legacy
// iptables checks the jumps in the same transaction. Over nf_tables such a check makes
// iptables-restore fetch all rules (1.8.9: 30 ms with 10,000), and the kernel is asked.
func (r rules) quick(ctx context.Context, addr target.Target, stands bool) error {
	if r.variant != overNFT {
		command := "-I "
		if stands {
			command = "-C "
		}
		return r.commands(ctx, append(r.likelyChecks(), command+Chain+" "+r.spec(addr))...)
	}
	k, err := r.kernel.dial(ctx)
	if err != nil {
		return err
	}
	l := r.nftTable().look(k)
	if stands {
		if len(r.missing(l, addr)) > 0 {
			return fmt.Errorf("%s drops nothing of %s", Chain, addr)
		}
	} else if err := r.command(ctx, "-I", addr); err != nil {
		return err
	}
	if why := first(r.faults(ctx, l, r.hostForwards())); why != "" {
		return errors.New(why)
	}
	return nil
}

// command has iptables add, or delete, one rule.
func (r rules) command(ctx context.Context, what string, addr target.Target) error {
	r.listed = nil
	args := append([]string{"-t", r.table, what, Chain}, strings.Fields(r.spec(addr))...)
	_, err := r.run(ctx, r.program, "", args...)
	return err
}

// missing returns the commands that make rules for addrs, none where all stand and nothing before them
// accepts. They go to the head of a chain in which something may accept, else behind all, in the order in
// which many are deleted: iptables looks for each from the head.
func (r rules) missing(l look, addrs ...target.Target) (commands []string) {
	ours, _ := l(Chain)
	stands, behind := map[target.Target]bool{}, map[target.Target]rule{}
	for i, ahead := range l.ahead(ours) {
		switch have := ours[i]; {
		case !have.blocks() || have.target != r.opts.Target:
		case ahead < 0:
			stands[have.source] = true
		default:
			behind[have.source] = have
		}
	}
	verb := "-A "
	if slices.ContainsFunc(ours, func(have rule) bool { return !have.blocks() }) {
		verb = "-I "
	}
	for _, addr := range addrs {
		if stands[addr] {
			continue
		}
		stands[addr] = true
		if have, is := behind[addr]; is {
			commands = append(commands, "-D "+Chain+" "+joinWords(have.spec))
		}
		commands = append(commands, verb+Chain+" "+r.spec(addr))
	}
	return commands
}

// ensure makes the place and the rule, whichever is missing.
func (r rules) ensure(ctx context.Context, addr target.Target) (out enforcer.Outcome, err error) {
	ctx, unlock := r.lock(ctx)
	defer unlock()
	err = r.tryAgain(ctx, func() error {
		changes, err := r.mendPlace(ctx, false)
		out.Made = out.Made || len(changes) > 0
		if err != nil {
			return err
		}
		all, err := r.chains(ctx)
		if err != nil {
			return err
		}
		commands := r.missing(all.look, addr)
		if out.Already = len(commands) == 0 && !out.Made; len(commands) == 0 {
			return nil
		}
		return r.commands(ctx, commands...)
	})
	if err != nil {
		err = fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	return out, err
}

func (r rules) addAll(ctx context.Context, addrs []target.Target) error {
	ctx, unlock := r.lock(ctx)
	defer unlock()
	if _, err := r.mendPlace(ctx, false); err != nil {
		return err
	}
	all, err := r.chains(ctx)
	if err != nil {
		return err
	}
	return r.inChunks(ctx, r.missing(all.look, addrs...))
}

func (r rules) remove(ctx context.Context, addr target.Target) error {
	if r.variant == overNFT && r.removeKnown(ctx, addr) == nil {
		return nil
	}
	if err := r.removeAll(ctx, []target.Target{addr}); err != nil {
		return fmt.Errorf("deleting rule for %s: %w", addr, err)
	}
	return nil
}

// removeKnown deletes the rules that the kernel shows, which says in a tenth of the time what there is.
func (r rules) removeKnown(ctx context.Context, addr target.Target) error {
	ours, err := r.kernelRules(ctx)
	for _, have := range ours {
		if err == nil && have.blocks() && have.source == addr {
			err = r.command(ctx, "-D", addr)
		}
	}
	return err
}

// kernelRules asks nf_tables for the rules of our chain.
func (r rules) kernelRules(ctx context.Context) ([]rule, error) {
	k, err := r.kernel.dial(ctx)
	if err != nil {
		return nil, err
	}
	return r.nftTable().rules(k, Chain)
}

// removeAll deletes all rules on the addresses, in the order in which they stand: both
// iptables-restore and the kernel look for each from the head of the chain. A transaction that
// fails because another process was first is begun anew.
func (r rules) removeAll(ctx context.Context, addrs []target.Target) error {
	gone := make(map[target.Target]bool, len(addrs))
	for _, addr := range addrs {
		gone[addr] = true
	}
	return r.removeThose(ctx, func(addr target.Target) bool { return gone[addr] })
}

func (r rules) removeThose(ctx context.Context, gone func(target.Target) bool) error {
	return r.tryAgain(ctx, func() error {
		ours, err := r.ourRules(ctx)
		if err != nil {
			return err
		}
		var commands []string
		for _, have := range ours {
			if have.blocks() && gone(have.source) {
				commands = append(commands, "-D "+Chain+" "+joinWords(have.spec))
			}
		}
		return r.inChunks(ctx, commands)
	})
}

// flush deletes our rules and leaves the chain, in which an administrator may have some.
func (r rules) flush(ctx context.Context) error {
	return r.removeThose(ctx, func(target.Target) bool { return true })
}

func (r rules) list(ctx context.Context) (l enforcer.Listing, err error) {
	all, err := r.seen(ctx)
	ours, exists := all[Chain]
	if err != nil || !exists || !slices.ContainsFunc(ours, rule.blocks) {
		return l, err
	}
	l.Faults = r.faults(ctx, all.look, r.forwards())
	place := first(l.Faults)
	ahead := look(all.look).ahead(ours)
	at := map[target.Target]int{}
	for i, have := range ours {
		if !have.blocks() {
			continue
		}
		open := r.past(place, ahead[i])
		if open != "" && !slices.Contains(l.Faults, open) {
			l.Faults = append(l.Faults, open)
		}
		if first, twice := at[have.source]; twice { // no packet comes to the second
			l.Blocks[first].Packets += have.packets
			l.Blocks[first].Bytes += have.bytes
			continue
		}
		at[have.source] = len(l.Blocks)
		l.Blocks = append(l.Blocks, enforcer.Block{Target: have.source, Counted: true, Packets: have.packets,
			Bytes: have.bytes, Open: open})
	}
	return l, nil
}

// past returns why packets get past a block: that of its place, if it is not "", or the rule at a position
// of our chain.
func (s *side) past(place string, at int) string {
	if place == "" && at >= 0 {
		return fmt.Sprintf("rule %d of %s accepts", at+1, Chain)
	}
	return place
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

func (r rules) mend(ctx context.Context) ([]string, error) {
	all, err := r.chains(ctx)
	if err != nil || !slices.ContainsFunc(all[Chain], rule.blocks) {
		return nil, err
	}
	ctx, unlock := r.lock(ctx)
	defer unlock()
	changes, err := r.mendPlace(ctx, false)
	if err != nil {
		return changes, err
	}
	for _, mend := range []func(context.Context) ([]string, error){r.mendOrder, r.mendTargets} {
		more, err := mend(ctx)
		changes = append(changes, more...)
		if err != nil {
			return changes, err
		}
	}
	return changes, nil
}

// mendOrder moves what stands behind a rule of somebody else's that accepts to the head of our
// chain. That rule stays.
func (r rules) mendOrder(ctx context.Context) ([]string, error) {
	all, err := r.chains(ctx)
	if err != nil {
		return nil, err
	}
	ours := all[Chain]
	ahead := look(all.look).ahead(ours)
	var commands []string
	for i, have := range ours {
		if have.blocks() && ahead[i] >= 0 {
			spec := joinWords(have.spec)
			commands = append(commands, "-D "+Chain+" "+spec, "-I "+Chain+" 1 "+spec)
		}
	}
	if len(commands) == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("moved %s of %s ahead of what accepts",
		printable.Count(len(commands)/2, "rule"), Chain)}, r.inChunks(ctx, commands)
}

// mendTargets replaces rules that another configuration made, with another target.
func (r rules) mendTargets(ctx context.Context) ([]string, error) {
	ours, err := r.ourRules(ctx)
	if err != nil {
		return nil, err
	}
	var commands []string
	wrong := 0
	for _, have := range ours {
		if have.blocks() && have.target != r.opts.Target {
			wrong++
			commands = append(commands, "-I "+Chain+" "+r.spec(have.source),
				"-D "+Chain+" "+joinWords(have.spec))
		}
	}
	if wrong == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("gave %s the target %s", printable.Count(wrong, "rule"), r.opts.Target)},
		r.inChunks(ctx, commands)
}

// retire leaves the chain, which the set may use, and which is empty else.
func (r rules) retire(context.Context) error { return nil }
