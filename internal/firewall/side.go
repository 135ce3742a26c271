package firewall

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// errAbsent says that the kernel filters no packets of a family: nothing is blocked there, and
// nothing can be.
var errAbsent = errors.New("this host filters no IPv6 packets")

// side is one address family of this host for the time of one call.
type side struct {
	ruleset

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
	s := &side{ruleset: ruleset{host: host{opts: e.opts, v6: v6, table: filter}, kernel: &kernel{socket: e.socket}}}
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
	other := &side{ruleset: ruleset{host: s.host, kernel: s.kernel}}
	other.table = table
	return other
}

// seen returns the chains for a list, which changes nothing: those that iptables cannot show as the kernel has
// them, unless the call falls back to another way to block.
func (s *side) seen(ctx context.Context) (chains, error) {
	all, err := s.chains(ctx)
	if errors.Is(err, errUnreadable) && (s.instead != nil || s.opts.Backend != Auto) {
		return s.kernelChains(ctx)
	}
	return all, err
}
