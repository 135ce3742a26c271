// Package firewall drops the packets of an address with iptables and ip6tables:
// in a chain of its own, OSSEC_AR in the filter table, that INPUT jumps to, and
// FORWARD (or DOCKER-USER) where the host forwards. Each address is one rule, so that
// `iptables -L OSSEC_AR -n` shows who is blocked. It never adds a rule to a chain
// that belongs to somebody else except that one jump, and never touches other rules.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/filelock"
	"github.com/ossec-ar/ossec-ar/internal/run"
)

// Chain is the name of the chain that holds the blocks.
const Chain = "OSSEC_AR"

const (
	table           = "filter"
	dockerUserChain = "DOCKER-USER" // Docker's own place for the administrator's rules; Docker keeps it first in FORWARD
)

// Options say how blocks are made. All are needed but ToolDirs, LockPath and Proc.
type Options struct {
	Target   string        // DROP or REJECT
	Forward  string        // auto, always or never: whether forwarded packets are dropped too
	Timeout  time.Duration // of one call, all programs that it runs included
	ToolDirs []string      // where iptables is looked for; nil means run.Dirs
	// LockPath is the file that those who make the chain and the jumps lock, so that no
	// jump is made twice. When it cannot be locked, or is "", they go on without.
	LockPath string
	Proc     string // where procfs is mounted; "" means /proc
}

// IPTables is the enforcer. It is an enforcer.Enforcer.
type IPTables struct{ opts Options }

// NewIPTables returns the enforcer. Nothing is looked for or run yet.
func NewIPTables(opts Options) *IPTables {
	if opts.Proc == "" {
		opts.Proc = "/proc"
	}
	return &IPTables{opts}
}

// family is one of the two programs and what goes with it.
type family struct {
	*IPTables
	v6      bool
	program string // absolute path of iptables or ip6tables
}

func (e *IPTables) family(v6 bool) (family, error) {
	name := "iptables"
	if v6 {
		name = "ip6tables"
	}
	path, err := run.Find(name, e.opts.ToolDirs)
	return family{e, v6, path}, err
}

// Block implements enforcer.Enforcer. When all is as it should be, one run of a program
// is enough. Whatever is not so, and whatever fails, leads to looking at everything and
// making again what is missing, one by one.
func (e *IPTables) Block(ctx context.Context, addr netip.Addr, fresh bool) (enforcer.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	f, err := e.family(addr.Is6())
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	done, err := f.blockAtOnce(ctx, addr, fresh)
	if done {
		return enforcer.Outcome{}, nil
	}
	if ctx.Err() != nil { // the program hangs, or the time went while it waited for a lock
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	founded, err := f.blockStepwise(ctx, addr)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	return enforcer.Outcome{Founded: founded}, nil
}

// blockAtOnce checks the jumps and adds the rule, or checks it where it may be there
// already, the quick way that the variant of iptables has.
func (f family) blockAtOnce(ctx context.Context, addr netip.Addr, fresh bool) (bool, error) {
	chains := f.likelyJumpChains()
	if f.overNFT() {
		return f.blockOverNFT(addr, chains, fresh), nil
	}
	act := "-C"
	if fresh {
		act = "-I"
	}
	// One transaction of iptables-restore, which fails as a whole. This variant fetches
	// the whole table whatever is asked of it, so that the checks cost nothing more.
	restore, err := run.Find(filepath.Base(f.program)+"-restore", []string{filepath.Dir(f.program)})
	if err != nil {
		return false, err
	}
	var rules strings.Builder
	rules.WriteString("*" + table + "\n")
	for _, chain := range chains {
		rules.WriteString("-C " + chain + " -j " + Chain + "\n")
	}
	rules.WriteString(act + " " + Chain + " " + strings.Join(f.rule(addr), " ") + "\nCOMMIT\n")
	_, err = run.Command(ctx, restore, rules.String(), "-w", f.wait(), "--noflush")
	return err == nil, err
}

// rule is the rule of one address, without its chain.
func (f family) rule(addr netip.Addr) []string {
	return []string{"-s", addr.String(), "-j", f.opts.Target}
}

// wait is how long iptables may wait for the xtables lock, in seconds: somewhat less
// than the whole call may take.
func (e *IPTables) wait() string {
	return strconv.Itoa(max(1, int(e.opts.Timeout.Seconds()*3/4)))
}

// forwards reports whether packets that the host passes on are to be dropped too.
func (f family) forwards() bool {
	switch f.opts.Forward {
	case "always":
		return true
	case "never":
		return false
	}
	sysctl := "sys/net/ipv4/ip_forward"
	if f.v6 {
		sysctl = "sys/net/ipv6/conf/all/forwarding"
	}
	value, err := os.ReadFile(filepath.Join(f.opts.Proc, sysctl))
	return err == nil && strings.TrimSpace(string(value)) != "0"
}

// likelyJumpChains guesses which chains the jumps are in without running anything. A
// wrong guess is found out by the kernel and costs time only.
func (f family) likelyJumpChains() []string {
	if !f.forwards() {
		return []string{"INPUT"}
	}
	if _, err := net.InterfaceByName("docker0"); err == nil {
		return []string{"INPUT", dockerUserChain}
	}
	return []string{"INPUT", "FORWARD"}
}

// blockStepwise makes the chain, the jumps and the rule, whichever is missing.
func (f family) blockStepwise(ctx context.Context, addr netip.Addr) (founded bool, err error) {
	defer f.lock()()
	if founded, err = f.ensurePlaceLocked(ctx); err != nil {
		return false, err
	}
	t, err := f.tables(ctx)
	if err != nil {
		return false, err
	}
	return founded, t.ensureFirst(Chain, f.rule(addr)...)
}

// lock keeps others from making the chain and the jumps, and returns how to end that.
// Without a lock two may make the same jump, which does no harm.
func (f family) lock() (unlock func()) {
	if f.opts.LockPath == "" {
		return func() {}
	}
	lock, err := filelock.Exclusive(f.opts.LockPath, f.opts.Timeout/2)
	if err != nil {
		return func() {}
	}
	return lock.Release
}

// ensurePlace makes the chain and the jumps, whichever is missing, and tells whether it
// made the chain.
func (f family) ensurePlace(ctx context.Context) (founded bool, err error) {
	defer f.lock()()
	return f.ensurePlaceLocked(ctx)
}

func (f family) ensurePlaceLocked(ctx context.Context) (founded bool, err error) {
	t, err := f.tables(ctx)
	if err != nil {
		return false, err
	}
	if founded, err = t.ensureChain(); err != nil {
		return false, err
	}
	chains := []string{"INPUT"}
	if f.forwards() {
		chain, err := t.forwardChain()
		if err != nil {
			return false, err
		}
		chains = append(chains, chain)
	}
	for _, chain := range chains {
		if err := t.ensureFirst(chain, "-j", Chain); err != nil {
			return false, fmt.Errorf("jump from %s: %w", chain, err)
		}
	}
	return founded, nil
}

// statusAbsent is the exit status of iptables when what was asked about is not there
// (seen with 1.8.9, both variants). It has the same one for a table that it cannot
// read, so an absent chain is looked at twice: see rules.
const statusAbsent = 1

// Unblock implements enforcer.Enforcer. The rule is deleted blindly, which is quick,
// and then the chain is looked through for what else drops the address: the same rule
// twice, or one of another target from before the configuration was changed.
func (e *IPTables) Unblock(ctx context.Context, addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	f, err := e.family(addr.Is6())
	if err != nil {
		return fmt.Errorf("deleting rule for %s: %w", addr, err)
	}
	err = f.delete(ctx, f.rule(addr))
	if err != nil && !absent(err) {
		return fmt.Errorf("deleting rule for %s: %w", addr, err)
	}
	rules, err := f.rules(ctx)
	if err != nil {
		return fmt.Errorf("looking for rules for %s: %w", addr, err)
	}
	for _, r := range rules {
		if r.addr != addr {
			continue
		}
		if err := f.delete(ctx, r.spec); err != nil && !absent(err) {
			return fmt.Errorf("deleting rule for %s: %w", addr, err)
		}
	}
	return nil
}

func absent(err error) bool { return run.Status(err) == statusAbsent }

func (f family) delete(ctx context.Context, spec []string) error {
	_, err := run.Command(ctx, f.program, "", append([]string{"-w", f.wait(), "-t", table, "-D", Chain}, spec...)...)
	return err
}

// rule is one rule of ours as the kernel holds it.
type rule struct {
	addr           netip.Addr
	spec           []string // without the chain and the counters
	packets, bytes uint64
}

// rules lists the rules of ours in the chain, duplicates included; none when there is
// no chain. (go-iptables' List would cost a run of `iptables --version` first.)
func (f family) rules(ctx context.Context) ([]rule, error) {
	out, err := run.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-v", "-S", Chain)
	if absent(err) {
		// No chain, or a table that iptables cannot read: the whole table tells.
		out, err = run.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-v", "-S")
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

// List implements enforcer.Enforcer. A host without ip6tables, or without IPv6, has no
// IPv6 blocks.
func (e *IPTables) List(ctx context.Context) ([]enforcer.Block, error) {
	var blocks []enforcer.Block
	err := e.eachFamily(ctx, func(f family) error {
		rules, err := f.rules(ctx)
		if err != nil {
			return fmt.Errorf("listing rules: %w", err)
		}
		at := map[netip.Addr]int{}
		for _, r := range rules {
			i, seen := at[r.addr]
			if !seen {
				i = len(blocks)
				at[r.addr] = i
				blocks = append(blocks, enforcer.Block{Addr: r.addr, Counted: true})
			}
			blocks[i].Packets += r.packets
			blocks[i].Bytes += r.bytes
		}
		return nil
	})
	return blocks, err
}

// Flush implements enforcer.Enforcer. The chain and the jumps stay.
func (e *IPTables) Flush(ctx context.Context) error {
	return e.eachFamily(ctx, func(f family) error {
		_, err := run.Command(ctx, f.program, "", "-w", f.wait(), "-t", table, "-F", Chain)
		if err != nil && !absent(err) {
			return fmt.Errorf("flushing chain %s: %w", Chain, err)
		}
		return nil
	})
}

func (e *IPTables) eachFamily(ctx context.Context, do func(family) error) error {
	found := false
	var none error
	for _, v6 := range []bool{false, true} {
		f, err := e.family(v6)
		if errors.Is(err, run.ErrNotFound) {
			none = err
			continue
		}
		if _, err := os.Stat(filepath.Join(e.opts.Proc, "net/if_inet6")); v6 && err != nil {
			continue // the kernel has no IPv6
		}
		found = true
		if err := do(f); err != nil {
			return err
		}
	}
	if !found {
		return none
	}
	return nil
}

// Describe implements enforcer.Enforcer.
func (e *IPTables) Describe(addr netip.Addr) string {
	program := "iptables"
	if addr.Is6() {
		program = "ip6tables"
	}
	return fmt.Sprintf("%s -I %s -s %s -j %s", program, Chain, addr, e.opts.Target)
}
