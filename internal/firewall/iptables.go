package firewall

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// variant is which of the two kinds of iptables a program is.
type variant int

const (
	unknownMake variant = iota // asked through its command line only
	overNFT                    // keeps its rules in nf_tables
	legacy                     // in the tables of its own
)

// family is one of the two programs and what goes with it.
type family struct {
	*Firewall
	v6      bool
	program string // absolute path of iptables or ip6tables; "" when it is not installed
	make    variant
	// forwards reports whether packets that the host passes on are to be dropped too.
	forwards func() bool
	// untilSet tells that jumps for all packets are made only while there is no set.
	untilSet bool
}

func (e *Firewall) family(v6 bool) (family, error) {
	name := "iptables"
	if v6 {
		name = "ip6tables"
	}
	f := family{Firewall: e, v6: v6, forwards: sync.OnceValue(func() bool { return e.forwards(v6) })}
	path, err := exec.Find(name, e.opts.ToolDirs)
	if err != nil {
		return f, err
	}
	f.program, f.make = path, makeOf(path)
	return f, nil
}

// makeOf goes by the file that the program's name leads to.
func makeOf(program string) variant {
	real, err := realPath(program)
	if err != nil {
		return unknownMake
	}
	switch filepath.Base(real) {
	case "xtables-nft-multi":
		return overNFT
	case "xtables-legacy-multi", "xtables-multi": // the latter up to iptables 1.6
		return legacy
	}
	return unknownMake
}

// realPath is filepath.EvalSymlinks in three system calls instead of twelve.
func realPath(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil { // procfs is not there
		return filepath.EvalSymlinks(path)
	}
	return real, nil
}

// blockByRule adds a rule for the address.
func (f family) blockByRule(ctx context.Context, addr netip.Addr, fresh bool) (enforcer.Outcome, error) {
	done, added, err := f.blockAtOnce(ctx, addr, fresh)
	if done {
		return enforcer.Outcome{Alone: added && f.alone(ctx, addr)}, nil
	}
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || err != nil && f.spent(ctx) { // the program hangs, or waited for a lock
		return enforcer.Outcome{}, err
	}
	defer f.lock()()
	var outcome enforcer.Outcome
	err = tryAgain(ctx, func() error {
		p, err := f.ensurePlace(ctx)
		if err != nil {
			return err
		}
		made, err := p.ensure(-1, Chain, f.rule(addr)...)
		added = added || made
		outcome.Founded = outcome.Founded || p.outcome.Founded
		outcome.Remade = outcome.Remade || p.outcome.Remade
		return err
	})
	outcome.Alone = err == nil && added && !outcome.Remade && f.alone(ctx, addr)
	return outcome, err
}

// blockAtOnce checks the jumps and adds the rule, or checks it where it may be there
// already, the quick way that the variant of iptables has. It tells whether the block
// stands now, and whether this call added it; any doubt is a no.
func (f family) blockAtOnce(ctx context.Context, addr netip.Addr, fresh bool) (done, added bool, err error) {
	if f.make == overNFT {
		return f.blockOverNFT(ctx, addr, f.entries(), fresh)
	}
	act := "-C"
	if fresh {
		act = "-A"
	}
	// One transaction of iptables-restore, which fails as a whole. This variant fetches
	// the whole table whatever is asked of it, so that the checks cost nothing more.
	restore, err := exec.Find(filepath.Base(f.program)+"-restore", []string{filepath.Dir(f.program)})
	if err != nil {
		return false, false, err
	}
	var rules strings.Builder
	rules.WriteString("*" + table + "\n")
	for _, check := range f.likelyChecks() {
		rules.WriteString("-C " + check + "\n")
	}
	rules.WriteString(act + " " + Chain + " " + strings.Join(f.rule(addr), " ") + "\nCOMMIT\n")
	_, err = exec.Command(ctx, restore, rules.String(), "-w", f.wait(), "--noflush")
	return err == nil, err == nil && fresh, err
}

// alone tells whether the rule on addr, which was just added at the end of our chain, is
// the first on an address there, so that none stood before it: none ever did, all were
// lifted, or somebody flushed the chain. Only the beginning of the chain is looked at. It
// is looked at afterwards, for of several processes that add to a chain that was flushed
// meanwhile just one finds its rule first. Whatever keeps it from finding out is a no.
func (f family) alone(ctx context.Context, addr netip.Addr) bool {
	var first netip.Addr
	seen := 0
	look := func(r kernelRule) error {
		if r.blocks() {
			first = r.source
		}
		if seen++; first.IsValid() || seen == firstFew {
			return errStop
		}
		return nil
	}
	err := errUnknownMake
	switch f.make {
	case overNFT:
		err = iptablesTable(f.v6).firstRules(ctx, Chain, look)
	case legacy:
		err = firstLegacyRules(f.v6, look)
	}
	return err == nil && first == addr
}

// rule is the rule of one address, without its chain.
func (f family) rule(addr netip.Addr) []string {
	return []string{"-s", addr.String(), "-j", f.opts.Target}
}

// wait is how long iptables may wait for the xtables lock, in seconds: somewhat less
// than the whole call may take.
func (e *Firewall) wait() string { return strconv.Itoa(e.waitSeconds()) }

func (e *Firewall) waitSeconds() int { return max(1, int(e.opts.Timeout.Seconds()*3/4)) }

// spent tells that iptables may have waited in vain for the lock: another run would be killed
// before it could say so.
func (e *Firewall) spent(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= e.opts.Timeout-time.Duration(e.waitSeconds())*time.Second
}

// entries are the chains through which packets come to ours. FORWARD may lead to Docker's
// chain, which then is the place for the jump.
func (f family) entries() []string {
	if !f.forwards() {
		return []string{inputChain}
	}
	return []string{inputChain, forwardChain}
}

// likelyChecks guesses the rules that lead to ours, as iptables checks them. A wrong guess
// costs time: the check fails and everything is looked at.
func (f family) likelyChecks() []string {
	const ours = " -j " + Chain
	checks := []string{inputChain + ours}
	switch {
	case !f.forwards():
		return checks
	case f.byDocker():
		return append(checks, forwardChain+" -j "+dockerUserChain, dockerUserChain+ours)
	}
	return append(checks, forwardChain+ours)
}

// byDocker tells whether FORWARD leads to Docker's chain. Where the kernel does not tell,
// it goes by Docker's interface.
func (f family) byDocker() bool {
	if f.make != legacy {
		_, err := net.InterfaceByName("docker0")
		return err == nil
	}
	leads := false
	t, err := readLegacy(f.v6)
	if err == nil {
		err = t.rules(func(chain string, r kernelRule) {
			leads = leads || chain == forwardChain && r.leadsTo(dockerUserChain)
		})
	}
	return err == nil && leads
}

// statusAbsent is the exit status of iptables when what was asked about is not there
// (seen with 1.8.9, both variants). It has the same one for a table that it cannot
// read, so an absent chain is looked at twice: see rules.
const statusAbsent = 1

func absent(err error) bool { return exec.Status(err) == statusAbsent }

// unblockByRule deletes the rules on the address and tells whether it found one. For the
// two known kinds of iptables the kernel tells where to look and whether all are gone.
func (f family) unblockByRule(ctx context.Context, addr netip.Addr) (was bool, err error) {
	if f.make == overNFT {
		return f.unblockOverNFT(ctx, addr)
	}
	if f.make != legacy {
		return false, nil
	}
	for range bulkRounds {
		s, err := f.standing(ctx, nil, addr)
		if err != nil || !s.blocks {
			return was && err == nil, nil // unblockByProgram will tell what is wrong
		}
		was = true
		if err := f.delete(ctx, f.rule(addr)); err != nil {
			if f.spent(ctx) {
				return was, err
			}
			break // it has another target, or another process was first
		}
	}
	return f.unblockByProgram(ctx, addr)
}

// unblockByProgram deletes a rule blindly, which is quick, and then looks through the
// chain for what else drops the address: the same rule twice, or one of another target
// from before the configuration was changed.
func (f family) unblockByProgram(ctx context.Context, addr netip.Addr) (was bool, err error) {
	err = f.delete(ctx, f.rule(addr))
	if err != nil && !absent(err) {
		return false, err
	}
	was = err == nil
	rules, err := f.rules(ctx)
	if err != nil {
		return was, err
	}
	for _, r := range rules {
		if r.addr != addr {
			continue
		}
		was = true
		if err := f.delete(ctx, r.spec); err != nil && !absent(err) {
			return was, err
		}
	}
	return was, nil
}

func (f family) delete(ctx context.Context, spec []string) error {
	_, err := exec.Command(ctx, f.program, "", append([]string{"-w", f.wait(), "-t", table, "-D", Chain}, spec...)...)
	return err
}

// standing asks the kernel what stands; see standingNFT. Of a program of unknown make
// nothing is known.
func (f family) standing(ctx context.Context, chains []string, addr netip.Addr) (standing, error) {
	switch f.make {
	case overNFT:
		c, err := dial(ctx)
		if err != nil {
			return standing{}, err
		}
		defer c.close()
		return f.standingNFT(ctx, c, chains, addr)
	case legacy:
		return f.standingLegacy(chains, addr)
	}
	return standing{}, errUnknownMake
}
