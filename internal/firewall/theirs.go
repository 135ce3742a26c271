package firewall

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// theirTable is where an administrator has the sets ossec_ar4 and ossec_ar6, of addresses, and the rules
// that drop them, as nftables-drop.sh of OSSEC 4.3 wants them.
var theirTable = nftTable{unix.NFPROTO_INET, filter}

// theirs blocks addresses by such a set. Our own table has networks, for which the set has no place, and
// addresses that the administrator's rules accept before they drop the set. Where it is not used, addresses
// of ours that it got before are only removed.
type theirs struct {
	table
	has bool // there is a set of that name
	// unused says why no address goes into it, "" where they do.
	unused string
	// before is what of the administrator's rules accepts some addresses before that; nil where it is not used.
	before *gaps
}

// their returns the set of the administrator's, as far as this configuration uses it.
func (s *side) their(ctx context.Context) theirs {
	t := theirs{table: table{s}, unused: "another backend is configured"}
	if s.opts.Backend != Auto && s.opts.Backend != NFTables {
		return t
	}
	k, err := s.kernel.dial(ctx)
	wrong := ""
	if err == nil {
		t.has, wrong, err = t.set().kind(k)
	}
	switch {
	case err != nil:
		t.unused = err.Error()
	case wrong != "" || !t.has:
		t.unused = wrong
	default:
		t.before, t.unused = t.open(k)
	}
	return t
}

// takes reports whether an address that is put into the set is dropped.
func (t theirs) takes(addr target.Target) bool { return addr.IsSingle() && t.before.of(addr) < 0 }

func (t theirs) isUsed() bool { return t.has && t.unused == "" }

func (t theirs) set() nftSet {
	if t.v6 {
		return nftSet{v6: true, bits: 128, theirs: true}
	}
	return nftSet{bits: 32, theirs: true}
}

func (t theirs) name() string { return "set " + t.set().name() + " of table inet " + filter }

func (t theirs) describe(addr target.Target) string {
	if !t.takes(addr) {
		return t.table.describe(addr)
	}
	return fmt.Sprintf("nft add element inet %s %s { %s }", filter, t.set().name(), addr)
}

// open returns why packets of the members come by, "" when a rule of the administrator's drops all, ahead
// of what accepts: another base chain drops them whatever this one accepts, but none accepts for another.
// Some addresses may be accepted before that.
func (t theirs) open(k socket) (before *gaps, why string) {
	if theirTable.isDormant(k) {
		return nil, "the table is dormant"
	}
	hooks := map[string]uint32{"input": unix.NF_INET_LOCAL_IN}
	if t.forwards() {
		hooks["forward"] = unix.NF_INET_FORWARD
	}
	l := theirTable.look(k)
	before = &gaps{all: -1}
	for name, number := range hooks {
		chain, err := theirTable.chain(k, name)
		rules, _ := l(name)
		some, drops := l.setRule(rules, t.set().name(), "")
		if err != nil || !isAt(chain, number) || !drops {
			return nil, "chain " + name + " does not drop it ahead of all that accepts"
		}
		before.some = append(before.some, some.some...)
	}
	return before, ""
}

// add falls back to our table where the set takes no more.
func (t theirs) add(ctx context.Context, addr target.Target, known enforcer.Known) (out enforcer.Outcome,
	err error) {
	k, err := t.kernel.dial(ctx)
	if err == nil && t.takes(addr) {
		err = k.Transact(t.set().elements(unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE|unix.NLM_F_EXCL, addr))
		if already := errors.Is(err, unix.EEXIST); err == nil || already {
			return enforcer.Outcome{Already: already}, nil
		}
	}
	return t.table.add(ctx, addr, known)
}

func (t theirs) addAll(ctx context.Context, addrs []target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err != nil {
		return err
	}
	var single, rest []target.Target
	for _, addr := range addrs {
		if t.takes(addr) {
			single = append(single, addr)
		} else {
			rest = append(rest, addr)
		}
	}
	if t.set().change(k, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, single...) != nil {
		rest = addrs
	}
	if len(rest) == 0 {
		return nil
	}
	return t.table.addAll(ctx, rest)
}

func (t theirs) remove(ctx context.Context, addr target.Target) error {
	k, err := t.kernel.dial(ctx)
	if err == nil && addr.IsSingle() {
		err = t.set().remove(k, addr)
	}
	if err != nil {
		err = fmt.Errorf("deleting %s from %s: %w", addr, t.name(), err)
	}
	if t.isUsed() {
		err = errors.Join(err, t.table.remove(ctx, addr))
	}
	return err
}

func (t theirs) removeAll(ctx context.Context, addrs []target.Target) error {
	sets := []nftSet{t.set()}
	if t.isUsed() {
		sets = append(sets, t.sets()...)
	}
	return t.removeFrom(ctx, sets, addrs)
}

func (t theirs) flush(ctx context.Context) error {
	if !t.isUsed() {
		return nil
	}
	k, err := t.kernel.dial(ctx)
	if err == nil {
		err = t.set().flush(k)
	}
	return errors.Join(err, t.table.flush(ctx))
}

// list returns nothing while no address goes into the set: what is in it is the administrator's, then.
func (t theirs) list(ctx context.Context) (l enforcer.Listing, err error) {
	if !t.isUsed() {
		return l, nil
	}
	k, err := t.kernel.dial(ctx)
	if err == nil {
		l.Blocks, err = t.set().members(k)
	}
	if err != nil {
		return l, err
	}
	for i := range l.Blocks {
		l.Blocks[i].Shared = true
		if !t.takes(l.Blocks[i].Target) {
			l.Blocks[i].Open = "a rule of table inet " + filter + " accepts it before"
		}
	}
	own, err := t.table.list(ctx)
	return merge(l, own), err
}

// mendBy returns what makes the set one that is used.
func (t theirs) mendBy() string {
	family, kind := "ip", "ipv4_addr"
	if t.v6 {
		family, kind = "ip6", "ipv6_addr"
	}
	return fmt.Sprintf("put `%s saddr @%s drop` ahead of what accepts, in the chains input and, on a host that "+
		"forwards, forward; the set is of type %s, without flags and timeout", family, t.set().name(), kind)
}
