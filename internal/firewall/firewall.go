// Package firewall drops the packets of an address. There are four ways, each a backend:
//
//   - rules of iptables and ip6tables, one for each address, in a chain of their own,
//     OSSEC_AR in the filter table, so that `iptables -L OSSEC_AR -n` shows who is
//     blocked. INPUT jumps to it, and where the host forwards FORWARD, or DOCKER-USER if
//     FORWARD leads there, ahead of everything that may accept a packet. With Early the
//     chain is in the raw table, and PREROUTING jumps to it.
//   - the ipsets ossec_ar4 and ossec_ar6, which that chain drops by one rule. An address
//     costs the same with 100,000 others as with none, for a packet and for who adds it.
//   - the table inet ossec_ar in nf_tables, with sets and base chains of its own, for
//     hosts that have no iptables.
//   - the sets ossec_ar4 and ossec_ar6 of the administrator's table inet filter, where he has
//     them and his rules stop all packets of their members.
//
// By default the first addresses become rules and later ones members of the set. What another
// configuration left behind is lifted, listed and flushed like all else, and moved by Mend.
//
// It never adds a rule to a chain that belongs to somebody else except the jump, never touches
// other rules, and never writes to a set or table that somebody else gave its name.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Chain is the name of the chain that holds the blocks.
const Chain = "OSSEC_AR"

// The tables that the chain can be in, and what jumps to it there.
const (
	filter       = "filter"
	raw          = "raw"
	inputChain   = "INPUT"
	forwardChain = "FORWARD"
	// Docker's own place for the administrator's rules; Docker keeps it first in FORWARD
	dockerUserChain = "DOCKER-USER"
	preroutingChain = "PREROUTING" // of raw
)

// The backends. Auto is a rule for each of the first MaxRules addresses and the set for later
// ones; nftables where iptables is not installed; rules only where the kernel has no ipset. Auto and
// NFTables prefer the administrator's sets.
const (
	Auto     = "auto"
	IPTables = "iptables"
	IPSet    = "ipset"
	NFTables = "nftables"
)

var backends = []string{Auto, IPTables, IPSet, NFTables}

// Kind is this package's way to block.
var Kind = enforcer.Kind{
	Name:    "firewall-drop",
	Summary: "drop the packets of attackers with iptables, ipset or nftables",
	New: func(settings config.Config, stateDir string) (enforcer.Enforcer, error) {
		c := settings.Firewall
		opts := Options{
			Backend: c.Backend, Target: c.Target, Forward: c.Forward, Timeout: c.Timeout.Duration,
			Early: c.Early, MaxRules: c.MaxRules, MaxAddresses: c.MaxAddresses,
		}
		if stateDir != "" {
			opts.LockPath = filepath.Join(stateDir, "firewall.lock")
		}
		return New(opts)
	},
	Hint: func(err error) string {
		if errors.Is(err, exec.ErrNotFound) {
			return "install iptables with the system's package manager"
		}
		return ""
	},
}

// Options say how blocks are made. All are needed but Backend, MaxAddresses, ToolDirs,
// LockPath and Proc.
type Options struct {
	Backend string        // one of the constants above; "" means Auto
	Target  string        // DROP or REJECT
	Forward string        // auto, always or never: whether forwarded packets are dropped too
	Early   bool          // iptables drops before connections are tracked, what is forwarded too; Target is DROP
	Timeout time.Duration // of one call about one address, all programs that it runs included
	// MaxRules is how many addresses become rules with Auto. Processes that run at the same
	// moment may go over it by their number.
	MaxRules     int
	MaxAddresses int      // that a set takes; 0 means 1,000,000
	ToolDirs     []string // where iptables is looked for; nil means exec.Dirs
	// LockPath is the file that those who make chains, jumps and sets lock, so that no
	// jump is made twice. When it cannot be locked, or is "", they go on without.
	LockPath string
	Proc     string // where procfs is mounted; "" means /proc
}

// backend is one place for the blocks of one family. Its methods are those of
// enforcer.Enforcer; what is not there holds nothing.
type backend interface {
	name() string
	describe(addr target.Target) string
	add(ctx context.Context, addr target.Target, known enforcer.Known) (enforcer.Outcome, error)
	addAll(ctx context.Context, addrs []target.Target) error
	remove(ctx context.Context, addr target.Target) error
	removeAll(ctx context.Context, addrs []target.Target) error
	list(ctx context.Context) (enforcer.Listing, error)
	flush(ctx context.Context) error
	mend(ctx context.Context) (changes []string, err error)
	// retire takes the place away, which is empty and not used any more.
	retire(ctx context.Context) error
}

// Firewall is the enforcer. It is an enforcer.Enforcer.
type Firewall struct {
	opts   Options
	socket socket // of a test
}

var _ enforcer.Enforcer = (*Firewall)(nil)

// New returns the enforcer. Nothing is looked for or run yet.
func New(opts Options) (*Firewall, error) {
	if opts.Proc == "" {
		opts.Proc = "/proc"
	}
	if opts.MaxAddresses == 0 {
		opts.MaxAddresses = 1_000_000
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
	return &Firewall{opts: opts}, nil
}

// Backend returns what IPv4 addresses are blocked with, "" where nothing can.
func (e *Firewall) Backend(ctx context.Context) string {
	ctx, cancel := e.within(ctx, 1)
	defer cancel()
	s := e.side(ctx, false)
	defer s.kernel.close()
	if s.absent != nil {
		return ""
	}
	return s.used.name()
}

// boundKey finds in a context what within bounded.
type boundKey struct{}

// bound is a context without the bound, and the bound.
type bound struct {
	outer context.Context
	limit time.Duration
}

// within bounds a call about n addresses.
func (e *Firewall) within(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	b := bound{ctx, e.opts.Timeout + time.Duration(n)*10*time.Millisecond}
	return context.WithTimeout(context.WithValue(ctx, boundKey{}, b), b.limit)
}

// whole is the n of a call that goes through all there is.
const whole = 10_000

// Block implements enforcer.Enforcer.
func (e *Firewall) Block(ctx context.Context, addr target.Target,
	known enforcer.Known) (enforcer.Outcome, error) {
	ctx, cancel := e.within(ctx, 1)
	defer cancel()
	s := e.side(ctx, addr.Is6())
	defer s.kernel.close()
	if s.absent != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding rule for %s: %w", addr, s.absent)
	}
	out, err := s.used.add(ctx, addr, known)
	if s.fallBack(ctx, err) {
		return s.used.add(ctx, addr, known)
	}
	return out, err
}

// Unblock implements enforcer.Enforcer. It looks wherever any backend may have put the
// address.
func (e *Firewall) Unblock(ctx context.Context, addr target.Target) error {
	ctx, cancel := e.within(ctx, 1)
	defer cancel()
	s := e.side(ctx, addr.Is6())
	defer s.kernel.close()
	return s.everywhere(ctx, func(b backend) error { return b.remove(ctx, addr) })
}

// everywhere calls do for each place in which addresses may stand.
func (s *side) everywhere(ctx context.Context, do func(backend) error) error {
	all := func() error {
		var errs []error
		for _, b := range s.places(ctx) {
			if err := do(b); !errors.Is(err, errAbsent) {
				errs = append(errs, err)
			}
		}
		return errors.Join(errs...)
	}
	err := all()
	if s.fallBack(ctx, err) {
		return all()
	}
	return err
}

// BlockAll implements enforcer.Enforcer.
func (e *Firewall) BlockAll(ctx context.Context, addrs []target.Target) error {
	return e.eachGroup(ctx, "blocking", addrs, func(ctx context.Context, s *side, addrs []target.Target) error {
		if s.absent != nil {
			return s.absent
		}
		err := s.used.addAll(ctx, addrs)
		if s.fallBack(ctx, err) {
			return s.used.addAll(ctx, addrs)
		}
		return err
	})
}

// UnblockAll implements enforcer.Enforcer.
func (e *Firewall) UnblockAll(ctx context.Context, addrs []target.Target) error {
	return e.eachGroup(ctx, "unblocking", addrs,
		func(ctx context.Context, s *side, addrs []target.Target) error {
			return s.everywhere(ctx, func(b backend) error { return b.removeAll(ctx, addrs) })
		})
}

// eachGroup does something with the addresses of each family, each once.
func (e *Firewall) eachGroup(ctx context.Context, gerund string, addrs []target.Target,
	do func(context.Context, *side, []target.Target) error) error {
	ctx, cancel := e.within(ctx, len(addrs))
	defer cancel()
	seen := make(map[target.Target]bool, len(addrs))
	groups := map[bool][]target.Target{}
	for _, addr := range addrs {
		if !seen[addr] {
			seen[addr] = true
			groups[addr.Is6()] = append(groups[addr.Is6()], addr)
		}
	}
	var errs []error
	for v6, group := range groups {
		s := e.side(ctx, v6)
		if err := do(ctx, s, group); err != nil {
			errs = append(errs, fmt.Errorf("%s %d addresses: %w", gerund, len(group), err))
		}
		s.kernel.close()
	}
	return errors.Join(errs...)
}

// eachSide calls do for both families. What is wrong with one keeps nothing from the other; a
// family that this host does not have is no error, unless it has none.
func (e *Firewall) eachSide(ctx context.Context, do func(*side) error) (failed []error, err error) {
	var absent []error
	for _, v6 := range []bool{false, true} {
		s := e.side(ctx, v6)
		err := do(s)
		if s.fallBack(ctx, err) {
			err = do(s)
		}
		if err == nil {
			err = s.absent
		}
		s.kernel.close()
		if errors.Is(err, errAbsent) || errors.Is(err, exec.ErrNotFound) {
			absent = append(absent, err)
		} else if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed)+len(absent) == 2 {
		return nil, errors.Join(append(failed, absent...)...)
	}
	return failed, nil
}

// Mend implements enforcer.Enforcer.
func (e *Firewall) Mend(ctx context.Context) (changes []string, err error) {
	ctx, cancel := e.within(ctx, whole)
	defer cancel()
	failed, err := e.eachSide(ctx, func(s *side) error {
		made, err := s.mend(ctx)
		changes = append(changes, s.named(made)...)
		return err
	})
	return changes, errors.Join(append(failed, err)...)
}

func (s *side) mend(ctx context.Context) (changes []string, err error) {
	if s.used == nil {
		return nil, nil
	}
	if changes, err = s.used.mend(ctx); err != nil {
		return changes, err
	}
	var emptied []backend
	for _, b := range s.places(ctx)[1:] {
		l, err := b.list(ctx)
		if err != nil {
			return changes, err
		}
		if len(l.Blocks)+len(l.Faults) == 0 {
			continue
		}
		emptied = append(emptied, b)
		if len(l.Blocks) == 0 {
			changes = append(changes, "removed "+b.name())
			continue
		}
		what := fmt.Sprintf("%s from %s to %s", printable.Count(len(l.Blocks), "address"), b.name(), s.used.name())
		if err := s.take(ctx, addresses(l.Blocks), b); err != nil {
			return changes, fmt.Errorf("moving %s: %w", what, err)
		}
		changes = append(changes, "moved "+what)
	}
	for _, b := range slices.Backward(emptied) { // a former chain, which refers to the set, before that
		if err := b.retire(ctx); err != nil {
			return changes, fmt.Errorf("removing %s: %w", b.name(), err)
		}
	}
	return changes, nil
}

// take moves addresses from another place to the one that is used.
func (s *side) take(ctx context.Context, addrs []target.Target, from backend) error {
	err := s.used.addAll(ctx, addrs)
	if err == nil {
		err = s.verify(ctx, addrs)
	}
	if err == nil {
		err = from.removeAll(ctx, addrs)
	}
	return err
}

// Flush implements enforcer.Enforcer. The chain, the jumps and the sets stay.
func (e *Firewall) Flush(ctx context.Context) error {
	ctx, cancel := e.within(ctx, whole)
	defer cancel()
	failed, err := e.eachSide(ctx, func(s *side) error {
		return s.everywhere(ctx, func(b backend) error { return b.flush(ctx) })
	})
	return errors.Join(append(failed, err)...)
}

// Describe implements enforcer.Enforcer.
func (e *Firewall) Describe(addr target.Target) string {
	s := e.side(context.Background(), addr.Is6())
	defer s.kernel.close()
	if s.used == nil {
		return fmt.Sprintf("nothing for %s: %v", addr, s.absent)
	}
	return s.used.describe(addr)
}
