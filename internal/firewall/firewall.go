// Package firewall drops the packets of an address. There are three ways:
//
//   - rules of iptables and ip6tables, one for each address, in a chain of their own,
//     OSSEC_AR in the filter table, so that `iptables -L OSSEC_AR -n` shows who is
//     blocked. INPUT jumps to it, and where the host forwards FORWARD, or DOCKER-USER if
//     FORWARD leads there.
//   - the ipsets ossec_ar4 and ossec_ar6, which that chain drops. One costs the same
//     with 100,000 addresses as with none, for a packet and for who adds another.
//   - the table inet ossec_ar in nf_tables, with sets and base chains of its own, for
//     hosts that have no iptables.
//
// By default the first few hundred addresses become rules, and with the first after them
// all go into the set. A call lifts, lists and flushes what any of the ways left behind, so that the
// configuration can be changed while blocks stand; BlockAll moves them.
//
// It never adds a rule to a chain that belongs to somebody else except the jump, and
// never touches other rules.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Chain is the name of the chain that holds the blocks.
const Chain = "OSSEC_AR"

const (
	table           = "filter"
	inputChain      = "INPUT"
	forwardChain    = "FORWARD"
	dockerUserChain = "DOCKER-USER" // Docker's own place for the administrator's rules; Docker keeps it first in FORWARD
)

// The ways to block. Auto is a rule for each of the first MaxRules addresses, and then the
// set for all of them; nftables where iptables is not installed; rules only where the
// kernel has no ipset or the iptables is of an unknown make.
const (
	Auto     = "auto"
	IPTables = "iptables"
	IPSet    = "ipset"
	NFTables = "nftables"
)

// backends are the values of Options.Backend.
var backends = []string{Auto, IPTables, IPSet, NFTables}

// defaultMaxAddresses is that of Options.
const defaultMaxAddresses = 1_000_000

// Options say how blocks are made. All are needed but Backend, MaxAddresses, ToolDirs,
// LockPath and Proc.
type Options struct {
	Backend string        // one of the constants above; "" means Auto
	Target  string        // DROP or REJECT
	Forward string        // auto, always or never: whether forwarded packets are dropped too
	Timeout time.Duration // of one call about one address, all programs that it runs included
	// MaxRules is how many rules show addresses with Auto. Processes that run at the same
	// moment may go over it by their number.
	MaxRules int
	// MaxAddresses is how many addresses a set takes; 0 means 1,000,000.
	MaxAddresses int
	ToolDirs     []string // where iptables is looked for; nil means exec.Dirs
	// LockPath is the file that those who make chains, jumps and sets lock, so that no
	// jump is made twice. When it cannot be locked, or is "", they go on without.
	LockPath string
	Proc     string // where procfs is mounted; "" means /proc
}

// Firewall is the enforcer. It is an enforcer.Enforcer.
type Firewall struct{ opts Options }

var _ enforcer.Enforcer = (*Firewall)(nil)

// New returns the enforcer. Nothing is looked for or run yet.
func New(opts Options) (*Firewall, error) {
	if opts.Proc == "" {
		opts.Proc = "/proc"
	}
	if opts.MaxAddresses == 0 {
		opts.MaxAddresses = defaultMaxAddresses
	}
	switch opts.Backend {
	case "":
		opts.Backend = Auto
	case Auto, IPTables, IPSet, NFTables:
	default:
		return nil, fmt.Errorf("firewall backend %q is none of %v", opts.Backend, backends)
	}
	if opts.MaxRules < 0 || opts.MaxAddresses < 0 {
		return nil, errors.New("the number of rules and addresses cannot be less than zero")
	}
	return &Firewall{opts}, nil
}

// Block implements enforcer.Enforcer. When all is as it should be, it takes one run of a
// program for a rule, and none for a set. Whatever is not so, and whatever fails, leads to
// looking at everything and making again what is missing, one by one.
func (e *Firewall) Block(ctx context.Context, addr netip.Addr, fresh bool) (enforcer.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	if e.opts.Backend == NFTables {
		return e.blockInTable(ctx, addr)
	}
	f, err := e.family(addr.Is6())
	if e.standsInForIPTables(err) {
		return e.blockInTable(ctx, addr)
	}
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	if e.opts.Backend == Auto {
		return f.blockAuto(ctx, addr, fresh)
	}
	if e.opts.Backend == IPSet {
		out, _, err := f.blockInSet(ctx, addr)
		return out, wrapAdding(err, addr, "set "+setName(f.v6))
	}
	out, err := f.blockByRule(ctx, addr, fresh)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, err)
	}
	return out, nil
}

func (e *Firewall) blockInTable(ctx context.Context, addr netip.Addr) (enforcer.Outcome, error) {
	out, err := e.blockNFT(ctx, addr)
	return out, wrapAdding(err, addr, "table inet "+nftTableName)
}

func wrapAdding(err error, addr netip.Addr, where string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("adding %s to %s: %w", addr, where, err)
}

// standsInForIPTables tells whether err, from looking for iptables, means that the table
// of our own is used.
func (e *Firewall) standsInForIPTables(err error) bool {
	return e.opts.Backend == Auto && !besideFakes && errors.Is(err, exec.ErrNotFound)
}

// looksEverywhere tells whether sets and the table of our own in the kernel are looked
// at: not beside an iptables of unknown make, such as a fake, whose kernel may be another.
func (e *Firewall) looksEverywhere(f family) bool {
	return e.opts.Backend == IPSet || e.opts.Backend == NFTables ||
		!besideFakes && (f.program == "" || f.make != unknownMake)
}

// Unblock implements enforcer.Enforcer. It looks wherever any backend may have put the
// address.
func (e *Firewall) Unblock(ctx context.Context, addr netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, e.opts.Timeout)
	defer cancel()
	f, err := e.family(addr.Is6())
	if err != nil && e.opts.Backend != NFTables && !e.standsInForIPTables(err) {
		return fmt.Errorf("deleting rule for %s: %w", addr, err)
	}
	// The rule goes first: a member of the set without a rule is what there may be anyway.
	var wasRule, lifted, left bool // left: where this backend puts none
	if f.program != "" {
		if wasRule, err = f.unblockByRule(ctx, addr); err != nil {
			return fmt.Errorf("deleting rule for %s: %w", addr, err)
		}
	}
	wasStray, err := f.unblockStrays(ctx, addr)
	if err != nil {
		return fmt.Errorf("deleting rule for %s: %w", addr, err)
	}
	if e.looksEverywhere(f) {
		if lifted, left, err = e.unblockInKernel(ctx, addr, f, wasRule || wasStray); err != nil {
			return fmt.Errorf("lifting the block on %s: %w", addr, err)
		}
	}
	if f.program != "" && !wasRule && !lifted {
		// Nothing was blocked, or not where it was looked for: iptables has the last word.
		if wasRule, err = f.unblockByProgram(ctx, addr); err != nil {
			return fmt.Errorf("deleting rule for %s: %w", addr, err)
		}
	}
	left = left || wasRule && (e.opts.Backend == IPSet || e.opts.Backend == NFTables)
	if left {
		if err := e.tidy(ctx); err != nil {
			return fmt.Errorf("clearing up after another backend: %w", err)
		}
	}
	return nil
}

// unblockInKernel takes addr out of the set and of the table of our own. It tells
// whether it stood in one, and whether in one that this backend does not use. wasRule
// tells that a rule on it was deleted just now: who is carrying the rules over into the
// set may have seen it, and is waited for.
func (e *Firewall) unblockInKernel(ctx context.Context, addr netip.Addr, f family, wasRule bool) (lifted, left bool, err error) {
	c, err := dial(ctx)
	if err != nil {
		return false, false, err
	}
	defer c.close()
	if f.usesTable() {
		defer e.lockShared()() // for who is filling a larger set at this moment
	} else if wasRule && e.opts.Backend == Auto {
		if exists, err := setOf(addr.Is6()).exists(c); err == nil && exists {
			defer e.lock()()
		}
	}
	inSet, setErr := setOf(addr.Is6()).remove(c, addr)
	inTable, tableErr := ourTable().remove(c, addr)
	return inSet || inTable, inSet && !f.usesSet() || inTable && !f.usesTable(), errors.Join(setErr, tableErr)
}

// Describe implements enforcer.Enforcer.
func (e *Firewall) Describe(addr netip.Addr) string {
	f, err := e.family(addr.Is6())
	bySet := e.opts.Backend == IPSet
	if e.opts.Backend == Auto && err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), e.opts.Timeout)
		defer cancel()
		bySet = f.choose(ctx, addr, false).bySet
	}
	switch {
	case e.opts.Backend == NFTables || e.standsInForIPTables(err):
		return fmt.Sprintf("nft add element inet %s %s { %s }", nftTableName, nftSetName(addr.Is6()), addr)
	case bySet:
		return fmt.Sprintf("ipset add %s %s", setName(addr.Is6()), addr)
	}
	program := "iptables"
	if addr.Is6() {
		program = "ip6tables"
	}
	return fmt.Sprintf("%s -A %s -s %s -j %s", program, Chain, addr, e.opts.Target)
}

// lock keeps others from making chains, jumps and sets, and returns how to end that.
// Without a lock two may make the same jump, which does no harm.
func (e *Firewall) lock() (unlock func()) { return e.lockBy(state.Exclusive) }

// lockShared keeps others from lock, and not from lockShared.
func (e *Firewall) lockShared() (unlock func()) { return e.lockBy(state.Shared) }

func (e *Firewall) lockBy(take func(path string, wait time.Duration) (*state.Lock, error)) (unlock func()) {
	if e.opts.LockPath == "" {
		return func() {}
	}
	lock, err := take(e.opts.LockPath, e.opts.Timeout/2)
	if err != nil {
		return func() {}
	}
	return lock.Release
}
