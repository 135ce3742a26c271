package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-iptables/iptables"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// The place of rules and of the set is the chain OSSEC_AR and the jumps to it. It is made and
// mended by one process at a time: the caller holds the lock.

// entries are the chains that should jump to ours.
func (h *host) entries(l look, forwards bool) []string {
	switch {
	case h.table == raw:
		return []string{preroutingChain}
	case forwards:
		return []string{inputChain, l.forwardEntry()}
	}
	return []string{inputChain}
}

// likelyChecks are the commands of iptables-restore that fail where a jump is missing. Where
// the one for forwarded packets stands is guessed; a wrong guess costs time, as then all is
// looked at.
func (h *host) likelyChecks() []string {
	if h.table == raw {
		return []string{check(preroutingChain, Chain)}
	}
	checks := []string{check(inputChain, Chain)}
	if !h.hostForwards() {
		return checks
	}
	if _, err := net.InterfaceByName("docker0"); err == nil {
		return append(checks, check(forwardChain, dockerUserChain), check(dockerUserChain, Chain))
	}
	return append(checks, check(forwardChain, Chain))
}

func check(from, to string) string { return "-C " + from + " -j " + to }

// setRule is the rule of our chain on the members of the set.
func (h *host) setRule() []string {
	return []string{"-m", "set", "--match-set", setName(h.v6), "src", "-j", h.opts.Target}
}

// tries is how often the place is mended before it is a failure: somebody may take away what was
// just made, so that the next step fails.
const tries = 3

// isFinal reports whether another try would fail, too. The legacy iptables exits with 4 when it has
// waited for its lock in vain, or may not do what it should; the one over nf_tables also when
// somebody took away what it works on (1.8.9).
func (t *tool) isFinal(ctx context.Context, err error) bool {
	return err == nil || ctx.Err() != nil || errors.Is(err, enforcer.ErrFull) || errors.Is(err, errAbsent) ||
		errors.Is(err, errForeign) || errors.Is(err, errUnreadable) ||
		t.variant != overNFT && exec.Status(err) == statusDenied
}

// tryAgain calls work until it succeeds.
func (t *tool) tryAgain(ctx context.Context, work func() error) (err error) {
	for range tries {
		if err = work(); t.isFinal(ctx, err) {
			break
		}
	}
	return err
}

// mendPlace makes the chain, and the jumps to it ahead of all that can accept; with bySet also
// the rule that drops the set. It returns what it changed.
func (s *side) mendPlace(ctx context.Context, bySet bool) (changes []string, err error) {
	s.listed = nil
	all, err := s.chains(ctx)
	if err != nil {
		return nil, err
	}
	family := iptables.ProtocolIPv4
	if s.v6 {
		family = iptables.ProtocolIPv6
	}
	var ipt *iptables.IPTables
	open := func() (err error) { // starts the program, so only where something is missing
		if ipt == nil {
			if path := s.otherLock(); path != "" {
				_ = os.Setenv(lockVariable, path) // the library hands our environment down
			}
			ipt, err = iptables.New(iptables.IPFamily(family), iptables.Path(s.program),
				iptables.Timeout(s.waitSeconds(ctx)))
		}
		s.listed = nil
		return err
	}
	if _, exists := all[Chain]; !exists {
		if err = open(); err == nil {
			err = ipt.NewChain(s.table, Chain)
		}
		if err != nil {
			return changes, fmt.Errorf("making chain %s: %w", Chain, err)
		}
		changes = append(changes, "made chain "+Chain)
	}
	inChain := s.mendPasses
	if bySet {
		inChain = s.mendSetRule
	}
	change, err := inChain(ctx, all.look)
	if changes = append(changes, change...); err != nil {
		return changes, err
	}
	for _, entry := range s.entries(all.look, s.forwards()) {
		why := look(all.look).bypass(entry)
		if why == "" {
			continue
		}
		if jumps := deleteJumps(entry, all[entry]); len(jumps) > 0 {
			// One transaction, so that there is no moment without a jump.
			err = s.commands(ctx, append(jumps, "-I "+entry+" 1 -j "+Chain)...)
		} else if err = open(); err == nil {
			err = ipt.Insert(s.table, entry, 1, "-j", Chain)
		}
		if err != nil {
			return changes, fmt.Errorf("jump from %s: %w", entry, err)
		}
		changes = append(changes, "made the jump in "+entry+" the first rule: "+why)
	}
	if why := s.dormant(ctx); why != "" {
		return changes, errors.New(why)
	}
	return changes, nil
}

// deleteJumps returns the commands that delete the jumps to our chain from another, whose rules are
// given. Somebody may have written a comment to one.
func deleteJumps(from string, rules []rule) (commands []string) {
	for _, r := range rules {
		if r.isJump(Chain) {
			commands = append(commands, "-D "+from+" "+joinWords(r.spec))
		}
	}
	return commands
}

// mendPasses deletes rules of our chain that let all packets by.
func (s *side) mendPasses(ctx context.Context, l look) (changes []string, err error) {
	ours, _ := l(Chain)
	var commands []string
	for i, r := range ours {
		if r.passes() {
			commands = append(commands, "-D "+Chain+" "+joinWords(r.spec))
			changes = append(changes, fmt.Sprintf("deleted rule %d of %s, which let all packets by", i+1,
				Chain))
		}
	}
	if len(commands) == 0 {
		return nil, nil
	}
	if err := s.commands(ctx, commands...); err != nil {
		return nil, fmt.Errorf("rules of %s that let all packets by: %w", Chain, err)
	}
	return changes, nil
}

// mendSetRule makes our chain drop the set before all else, by one rule.
func (s *side) mendSetRule(ctx context.Context, l look) (changes []string, err error) {
	name := setName(s.v6)
	ours, _ := l(Chain)
	var commands []string
	for _, r := range ours {
		if r.onSet(name) && r.drops() {
			commands = append(commands, "-D "+Chain+" "+joinWords(r.spec))
		}
	}
	before, drops := l.setRule(ours, name, s.opts.Target)
	if len(commands) == 1 && drops && len(before.some) == 0 {
		return nil, nil
	}
	if err := s.commands(ctx, append(commands, "-I "+Chain+" 1 "+joinWords(s.setRule()))...); err != nil {
		return nil, fmt.Errorf("rule on set %s: %w", name, err)
	}
	return []string{"made " + Chain + " drop set " + name}, nil
}
