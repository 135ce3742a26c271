package firewall

import (
	"cmp"
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

// ruleset is a table of iptables, of one address family, for the time of one call: how it is read and edited.
type ruleset struct {
	host
	kernel *kernel
	listed chains // what iptables listed last, nil when something was changed since
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
	locked bool // by ruleset.lock
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
func (rs *ruleset) run(ctx context.Context, program, stdin string, args ...string) ([]byte, error) {
	if rs.variant != overNFT {
		var unlock func()
		ctx, unlock = rs.lock(ctx)
		defer unlock()
	}
	args = append([]string{"-w", strconv.Itoa(rs.waitSeconds(ctx))}, args...)
	var env []string
	if path := rs.otherLock(); path != "" {
		env = append(env, lockVariable+"="+path)
	}
	out, err := exec.CommandWith(ctx, env, program, stdin, args...)
	// The variant over nf_tables says so of rules that it cannot read.
	noTable := exec.Status(err) == statusNoTable && rs.variant != overNFT
	if rs.v6 && rs.table == filter && noTable && rs.capable(unix.CAP_NET_ADMIN) {
		err = fmt.Errorf("%w: %w", errAbsent, err)
	}
	return out, err
}

// commands carries out commands of iptables-restore as one transaction: all or none.
func (rs *ruleset) commands(ctx context.Context, lines ...string) error {
	rs.listed = nil
	_, err := rs.run(ctx, rs.restore, "*"+rs.table+"\n"+strings.Join(lines, "\n")+"\nCOMMIT\n", "--noflush")
	return err
}

// inChunks carries out many commands, some in each transaction: the variant over nf_tables sends
// one in one message, which the kernel refuses where it is larger than a socket's buffer and the
// sender is not root of the first user namespace (1.8.9: at about 1,000 rules).
func (rs *ruleset) inChunks(ctx context.Context, lines []string) error {
	for chunk := range slices.Chunk(lines, 500) {
		if err := rs.commands(ctx, chunk...); err != nil {
			return err
		}
	}
	return nil
}

// chains lists the whole table, with counters. iptables exits with 1 both for a chain that is
// not there and for a table that it cannot read; listing the whole table distinguishes them.
func (rs *ruleset) chains(ctx context.Context) (chains, error) {
	if rs.listed != nil {
		return rs.listed, nil
	}
	out, err := rs.run(ctx, rs.program, "", "-t", rs.table, "-v", "-S")
	if err != nil {
		if _, known := rs.kernelChains(ctx); known == nil && exec.Status(err) != statusDenied {
			err = fmt.Errorf("%w: %w", errUnreadable, err)
		}
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	if rs.listed, err = parseChains(string(out)); err != nil || rs.variant != overNFT {
		return rs.listed, err
	}
	for _, entry := range rs.entries(rs.listed.look, rs.forwards()) {
		if why := rs.unhooked(ctx, entry); why != "" {
			rs.listed = nil
			return nil, fmt.Errorf("%w: %s", errUnreadable, why)
		}
	}
	rs.addVerdicts(ctx)
	return rs.listed, nil
}

// errUnreadable says that iptables cannot show, or not change, all of a table that the kernel shows. In 1.8.9
// one rule of nft(8) with a connection's state does that, and a chain with another hook or priority.
var errUnreadable = errors.New("iptables cannot work in its table, in which nft(8) made something")

// kernelChains asks nf_tables for all chains, without counters and specs. It fails where there are none.
func (rs *ruleset) kernelChains(ctx context.Context) (chains, error) {
	if rs.variant != overNFT {
		return nil, errors.ErrUnsupported
	}
	k, err := rs.kernel.dial(ctx)
	if err != nil {
		return nil, err
	}
	return rs.nftTable().chains(k)
}

// addVerdicts looks up what rules do that iptables shows without a target: nft(8) made them, as one that
// takes its verdict from a map.
func (rs *ruleset) addVerdicts(ctx context.Context) {
	var l look
	for chain, rules := range rs.listed {
		for i, r := range rules {
			if r.target != "" {
				continue
			}
			if l == nil {
				k, err := rs.kernel.dial(ctx)
				if err != nil {
					return
				}
				l = rs.nftTable().look(k)
			}
			if inKernel, _ := l(chain); i < len(inKernel) {
				rules[i].target, rules[i].leaves = inKernel[i].target, inKernel[i].leaves
			}
		}
	}
}

// ourRules lists the rules of our chain, none when there is no chain.
func (rs *ruleset) ourRules(ctx context.Context) ([]rule, error) {
	out, err := rs.run(ctx, rs.program, "", "-t", rs.table, "-S", Chain)
	if exec.Status(err) == 1 {
		all, err := rs.chains(ctx)
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
func (rs *ruleset) lock(ctx context.Context) (_ context.Context, unlock func()) {
	if rs.opts.LockPath == "" || rs.kernel.locked {
		return ctx, func() {}
	}
	lock, _ := state.Exclusive(rs.opts.LockPath, rs.opts.Timeout/2)
	rs.kernel.locked = true
	cancel := func() {}
	if b, bounded := ctx.Value(boundKey{}).(bound); bounded {
		ctx, cancel = context.WithTimeout(b.outer, b.limit)
	}
	return ctx, func() {
		cancel()
		lock.Release()
		rs.kernel.locked = false
	}
}

// mayHaveChain reports whether our chain is in the table of a variant; of legacy, whether there is such
// a table, for its program would make it.
func (rs *ruleset) mayHaveChain(ctx context.Context, variant variant) bool {
	if variant == legacy {
		return kernelHasLegacyTable(rs.opts.Proc, rs.v6, rs.table)
	}
	k, err := rs.kernel.dial(ctx)
	if err != nil {
		return false
	}
	chain, err := rs.nftTable().chain(k, Chain)
	return err == nil && chain != nil
}

// faults are what lets packets by our chain, a line each.
func (rs *ruleset) faults(ctx context.Context, l look, forwards bool) (faults []string) {
	if why := rs.dormant(ctx); why != "" {
		faults = append(faults, why)
	}
	for _, entry := range rs.entries(l, forwards) {
		if why := cmp.Or(l.bypass(entry), rs.unhooked(ctx, entry)); why != "" {
			faults = append(faults, why)
		}
	}
	return faults
}

// hooks are the chains of iptables that ours is jumped to from, as iptables makes them.
var hooks = []nftChain{{inputChain, unix.NF_INET_LOCAL_IN, 0}, {forwardChain, unix.NF_INET_FORWARD, 0},
	{preroutingChain, unix.NF_INET_PRE_ROUTING, -300}}

// unhooked says that nft(8) made the chain of an entry, or Docker's in it, so that packets come to it never or
// at another time, "" when it did not. iptables puts no jump there.
func (rs *ruleset) unhooked(ctx context.Context, entry string) string {
	if rs.variant != overNFT {
		return ""
	}
	if entry == dockerUserChain {
		entry = forwardChain
	}
	k, err := rs.kernel.dial(ctx)
	at := slices.IndexFunc(hooks, func(c nftChain) bool { return c.name == entry })
	if err != nil || at < 0 {
		return ""
	}
	if chain, err := rs.nftTable().chain(k, entry); err != nil || chain == nil || hooks[at].isHooked(chain) {
		return ""
	}
	return "chain " + entry + " is not hooked as iptables hooks it"
}

// dormant says that somebody switched the table off, "" when it is not: his rules would come into force
// again with ours, so only he switches it on.
func (rs *ruleset) dormant(ctx context.Context) string {
	if rs.variant != overNFT {
		return ""
	}
	k, err := rs.kernel.dial(ctx)
	if err != nil || !rs.nftTable().isDormant(k) {
		return ""
	}
	name := map[bool]string{false: "ip ", true: "ip6 "}[rs.v6] + rs.table
	return "table " + name + " is dormant: `nft add table " + name + "` switches it on"
}
