package nullroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/netlink"
)

// bulkSize is how many addresses one message to the kernel is about. The answers to
// one, two an address, must fit into a socket's buffer: 212,992 bytes unless somebody
// changed it, of which each answer takes about 800.
const bulkSize = 64

// eachBatch calls do for every so many addresses.
func eachBatch(ctx context.Context, addrs []netip.Addr, progress func(done int), do func(s *netlink.Socket, batch []netip.Addr) error) error {
	for done := 0; done < len(addrs); {
		// Each batch gets a socket of its own, as its time limit is what is left now.
		s, err := netlink.Open(ctx)
		if err != nil {
			return err
		}
		batch := addrs[done:min(done+bulkSize, len(addrs))]
		err = do(s, batch)
		s.Close()
		if err != nil {
			return err
		}
		done += len(batch)
		if progress != nil {
			progress(done)
		}
	}
	return nil
}

// blockAll adds routes blindly and looks more closely only where one did not come about.
// That one address cannot be blocked, such as what has become an address of this host, does
// not keep the others from it.
func (e *Enforcer) blockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	var standing map[netip.Addr]bool
	stands := func(addr netip.Addr) (bool, error) {
		if standing == nil {
			ours, err := e.addresses(ctx)
			if err != nil {
				return false, err
			}
			standing = make(map[netip.Addr]bool, len(ours))
			for _, a := range ours {
				standing[a] = true
			}
		}
		return standing[addr], nil
	}
	var failed enforcer.Failures
	err := eachBatch(ctx, addrs, progress, func(s *netlink.Socket, batch []netip.Addr) error {
		requests := make([]*nl.NetlinkRequest, 0, 2*len(batch))
		for _, addr := range batch {
			requests = append(requests, e.add(addr, unix.NLM_F_CREATE|unix.NLM_F_EXCL), lookup(addr))
		}
		answers, err := s.Ask(requests...)
		if err != nil {
			return err
		}
		for i, addr := range batch {
			added, looked := answers[2*i], answers[2*i+1]
			switch {
			case added.Err == nil:
				err = e.inForce(s, addr, looked)
			case errors.Is(added.Err, unix.EEXIST):
				var ours bool
				if ours, err = stands(addr); err == nil && !(ours && errors.Is(looked.Err, e.kind.errno)) {
					_, err = e.block(ctx, addr, false)
				}
			default:
				err = added.Err
			}
			if err != nil && ctx.Err() != nil {
				return err
			}
			if err != nil {
				failed.Add(fmt.Errorf("%s: %w", addr, explain(addr, err)))
			}
		}
		return nil
	})
	return errors.Join(failed.All(), err)
}

// unblockAll deletes one route to each address and looks for more where there was one.
func (e *Enforcer) unblockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	return eachBatch(ctx, addrs, progress, func(s *netlink.Socket, batch []netip.Addr) error {
		requests := make([]*nl.NetlinkRequest, 0, 2*len(batch))
		for _, addr := range batch {
			requests = append(requests, e.del(addr, 0), e.del(addr, 0))
		}
		answers, err := s.Ask(requests...)
		if err != nil {
			return err
		}
		for i, addr := range batch {
			for _, answer := range answers[2*i : 2*i+2] {
				err = answer.Err
				if err != nil {
					break
				}
			}
			switch {
			case err == nil: // two were there, so there may be more
				err = e.remove(s, addr)
			case errors.Is(err, unix.ESRCH), addr.Is6() && noIPv6(err):
				err = nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", addr, explain(addr, err))
			}
		}
		return nil
	})
}
