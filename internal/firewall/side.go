package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// errAbsent says that the kernel filters no packets of a family: nothing is blocked there, and
// nothing can be.
var errAbsent = errors.New("this host filters no IPv6 packets")

// side is one address family of this host for the time of one call.
type side struct {
	host
	kernel *kernel
	listed chains // what iptables listed last, nil when something was changed since

	used   backend   // where addresses go, nil where absent says why they cannot
	left   []backend // where another configuration may have put some
	absent error
	former []*side // where our chain is another configuration's, once they are looked for
	sought bool
	// instead is why iptables is not used though it is there, and what mends that.
	instead     error
	insteadMend string
}

// side finds out what there is and what is used. The caller closes its kernel.
func (e *Firewall) side(ctx context.Context, v6 bool) *side {
	s := &side{host: host{opts: e.opts, v6: v6, table: filter}, kernel: &kernel{socket: e.socket}}
	if e.opts.Early {
		s.table = raw
	}
	var err error
	s.tool, err = findTool(familyName(s.v6, ""), s.opts.ToolDirs)
	byRules, bySet, byTable, byTheirs := rules{s}, set{s}, table{s}, s.their(ctx)
	s.left = []backend{byRules, bySet, byTable, byTheirs}
	if s.program == "" {
		s.left = s.left[1:]
	}
	switch backend := e.opts.Backend; {
	case v6 && !kernelHasIPv6(s.opts.Proc):
		s.absent = fmt.Errorf("%w: the kernel has no IPv6", errAbsent)
	case byTheirs.isUsed():
		s.use(byTheirs, byTable)
	case backend == NFTables, backend == Auto && errors.Is(err, exec.ErrNotFound):
		s.use(byTable)
	case err != nil:
		s.absent = err
	case backend == IPTables:
		s.use(byRules)
	case backend == IPSet:
		s.use(bySet)
	default:
		s.use(auto{byRules, bySet}, byRules, bySet)
	}
	return s
}

// use makes b the place for addresses, of which parts, b itself when none are given, are not
// left over from another configuration then.
func (s *side) use(b backend, parts ...backend) {
	s.used = b
	s.left = slices.DeleteFunc(s.left, func(left backend) bool {
		return left == b || slices.Contains(parts, left)
	})
}

// places are all in which addresses may stand, the used one first.
func (s *side) places(ctx context.Context) (all []backend) {
	if s.used != nil {
		all = append(all, s.used)
	}
	all = append(all, s.left...)
	for _, other := range s.strays(ctx) {
		all = append(all, former{rules{other}})
	}
	return all
}

// strays are the sides on which our chain goes on blocking though this configuration does not use it:
// in the other table, after a change of Early, and of the other variant of iptables, after
// update-alternatives(1) gave its name to this one, or it was uninstalled in part.
func (s *side) strays(ctx context.Context) []*side {
	if s.sought {
		return s.former
	}
	s.sought = true
	for _, kind := range []struct {
		variant
		suffix string
	}{{overNFT, "-nft"}, {legacy, "-legacy"}} {
		for _, table := range []string{filter, raw} {
			other := s.in(table)
			if kind.variant == s.variant && table == s.table || !other.mayHaveChain(ctx, kind.variant) {
				continue
			}
			if kind.variant != s.variant {
				other.tool, _ = findTool(familyName(s.v6, kind.suffix), s.opts.ToolDirs)
			}
			if other.program != "" && other.restore != "" && other.variant == kind.variant {
				s.former = append(s.former, other)
			}
		}
	}
	return s.former
}

// in returns the same side of this host with another table.
func (s *side) in(table string) *side {
	other := &side{host: s.host, kernel: s.kernel}
	other.table = table
	return other
}

// mayHaveChain reports whether our chain is in the table of a variant; of legacy, whether there is such
// a table, for its program would make it.
func (s *side) mayHaveChain(ctx context.Context, variant variant) bool {
	if variant == legacy {
		return kernelHasLegacyTable(s.opts.Proc, s.v6, s.table)
	}
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return false
	}
	chain, err := s.nftTable().chain(k, Chain)
	return err == nil && chain != nil
}

// socket is a netlink.Socket to netfilter.
type socket interface {
	Ask(requests ...*nl.NetlinkRequest) ([]netlink.Answer, error)
	AskOne(request *nl.NetlinkRequest) error
	Dump(request *nl.NetlinkRequest, visit func(message []byte) (more bool)) error
	Torn() bool
	Transact(requests ...*nl.NetlinkRequest) error
	Close()
}

// kernel is what the sides of one call share: a socket, opened by the first who needs it, and the lock.
type kernel struct {
	socket socket
	locked bool // by side.lock
}

func (k *kernel) dial(ctx context.Context) (socket, error) {
	if k.socket == nil {
		s, err := netlink.OpenNetfilter(ctx)
		if err != nil {
			return nil, err
		}
		k.socket = s
	}
	return k.socket, nil
}

func (k *kernel) close() {
	if k.socket != nil {
		k.socket.Close()
	}
}

// run runs iptables or iptables-restore.
func (s *side) run(ctx context.Context, program, stdin string, args ...string) ([]byte, error) {
	if s.variant != overNFT {
		var unlock func()
		ctx, unlock = s.lock(ctx)
		defer unlock()
	}
	args = append([]string{"-w", strconv.Itoa(s.waitSeconds(ctx))}, args...)
	var env []string
	if path := s.otherLock(); path != "" {
		env = append(env, lockVariable+"="+path)
	}
	out, err := exec.CommandWith(ctx, env, program, stdin, args...)
	// The variant over nf_tables says so of rules that it cannot read.
	noTable := exec.Status(err) == statusNoTable && s.variant != overNFT
	if s.v6 && s.table == filter && noTable && s.capable(unix.CAP_NET_ADMIN) {
		err = fmt.Errorf("%w: %w", errAbsent, err)
	}
	return out, err
}

// commands carries out commands of iptables-restore as one transaction: all or none.
func (s *side) commands(ctx context.Context, lines ...string) error {
	s.listed = nil
	_, err := s.run(ctx, s.restore, "*"+s.table+"\n"+strings.Join(lines, "\n")+"\nCOMMIT\n", "--noflush")
	return err
}

// inChunks carries out many commands, some in each transaction: the variant over nf_tables sends
// one in one message, which the kernel refuses where it is larger than a socket's buffer and the
// sender is not root of the first user namespace (1.8.9: at about 1,000 rules).
func (s *side) inChunks(ctx context.Context, lines []string) error {
	for chunk := range slices.Chunk(lines, 500) {
		if err := s.commands(ctx, chunk...); err != nil {
			return err
		}
	}
	return nil
}

// chains lists the whole table, with counters. iptables exits with 1 both for a chain that is
// not there and for a table that it cannot read; listing the whole table distinguishes them.
func (s *side) chains(ctx context.Context) (chains, error) {
	if s.listed != nil {
		return s.listed, nil
	}
	out, err := s.run(ctx, s.program, "", "-t", s.table, "-v", "-S")
	if err != nil {
		if _, known := s.kernelChains(ctx); known == nil && exec.Status(err) != statusDenied {
			err = fmt.Errorf("%w: %w", errUnreadable, err)
		}
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	if s.listed, err = parseChains(string(out)); err != nil || s.variant != overNFT {
		return s.listed, err
	}
	for _, entry := range s.entries(s.listed.look, s.forwards()) {
		if why := s.unhooked(ctx, entry); why != "" {
			s.listed = nil
			return nil, fmt.Errorf("%w: %s", errUnreadable, why)
		}
	}
	s.addVerdicts(ctx)
	return s.listed, nil
}

// errUnreadable says that iptables cannot show, or not change, all of a table that the kernel shows. In 1.8.9
// one rule of nft(8) with a connection's state does that, and a chain with another hook or priority.
var errUnreadable = errors.New("iptables cannot work in its table, in which nft(8) made something")

// seen is chains for who only reads: what iptables cannot show is asked of the kernel, unless another way
// to block is to be used then.
func (s *side) seen(ctx context.Context) (chains, error) {
	all, err := s.chains(ctx)
	if errors.Is(err, errUnreadable) && (s.instead != nil || s.opts.Backend != Auto) {
		return s.kernelChains(ctx)
	}
	return all, err
}

// kernelChains asks nf_tables for all chains, without counters and specs. It fails where there are none.
func (s *side) kernelChains(ctx context.Context) (chains, error) {
	if s.variant != overNFT {
		return nil, errors.ErrUnsupported
	}
	k, err := s.kernel.dial(ctx)
	if err != nil {
		return nil, err
	}
	return s.nftTable().chains(k)
}

// addVerdicts looks up what rules do that iptables shows without a target: nft(8) made them, as one that
// takes its verdict from a map.
func (s *side) addVerdicts(ctx context.Context) {
	var l look
	for chain, rules := range s.listed {
		for i, r := range rules {
			if r.target != "" {
				continue
			}
			if l == nil {
				k, err := s.kernel.dial(ctx)
				if err != nil {
					return
				}
				l = s.nftTable().look(k)
			}
			if inKernel, _ := l(chain); i < len(inKernel) {
				rules[i].target, rules[i].leaves = inKernel[i].target, inKernel[i].leaves
			}
		}
	}
}

// ourRules lists the rules of our chain, none when there is no chain.
func (s *side) ourRules(ctx context.Context) ([]rule, error) {
	out, err := s.run(ctx, s.program, "", "-t", s.table, "-S", Chain)
	if exec.Status(err) == 1 {
		all, err := s.chains(ctx)
		return all[Chain], err
	}
	if err != nil {
		return nil, fmt.Errorf("listing chain %s: %w", Chain, err)
	}
	all, err := parseChains(string(out))
	return all[Chain], err
}

// lock keeps others from making chains, jumps and sets, and from waiting for the xtables lock beside
// us, of which one cannot see whether its line moves. It returns how to end that. Without a lock two
// may make the same jump, which does no harm. The time in line does not count: the context that it
// returns is bounded anew.
func (s *side) lock(ctx context.Context) (_ context.Context, unlock func()) {
	if s.opts.LockPath == "" || s.kernel.locked {
		return ctx, func() {}
	}
	lock, _ := state.Exclusive(s.opts.LockPath, s.opts.Timeout/2)
	s.kernel.locked = true
	cancel := func() {}
	if b, bounded := ctx.Value(boundKey{}).(bound); bounded {
		ctx, cancel = context.WithTimeout(b.outer, b.limit)
	}
	return ctx, func() {
		cancel()
		lock.Release()
		s.kernel.locked = false
	}
}
