// Package enforcer is the seam between the one flow of a blocking response
// (internal/respond) and what carries a block out: packet filter rules,
// hosts.deny lines, blackhole routes. It holds the contract that all of them
// keep and nothing that touches a host. The same contract as a test, which the
// fakes and the kernel both pass, is in enforcertest.
package enforcer

import (
	"context"
	"errors"
	"net/netip"
)

// ErrFull says that no further address fits where the blocks live.
var ErrFull = errors.New("the set of blocked addresses is full")

// Enforcer puts blocks in force and lifts them. An address is valid, unmapped
// and without a zone. Every method is safe beside other processes that do the
// same, and bounded in time by its context.
type Enforcer interface {
	// Block returns nil only when addr is blocked. It makes again what it rests
	// on (chain, jump, file) when that is gone, and adds nothing when addr is
	// already blocked. fresh is a promise by the caller that nothing blocks addr
	// yet, so that an enforcer for which looking is dear need not look.
	Block(ctx context.Context, addr netip.Addr, fresh bool) (Outcome, error)

	// Unblock returns nil only when nothing of this enforcer blocks addr any
	// more. That nothing did is no error.
	Unblock(ctx context.Context, addr netip.Addr) error

	// BlockAll is Block for many, in few transactions: it returns nil only when all
	// addrs are blocked. What is blocked already counts as done and is not blocked
	// twice. When it fails, some may be blocked. progress, which may be nil, is told
	// now and then how many are done, and at the end that all are.
	BlockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error

	// UnblockAll is Unblock for many, as BlockAll is Block.
	UnblockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error

	// List returns what is in force now, and what is there and idle, in no set order.
	List(ctx context.Context) ([]Block, error)

	// Flush lifts all blocks of this enforcer and nothing else.
	Flush(ctx context.Context) error

	// Describe says in one line what Block would do, for a dry run.
	Describe(addr netip.Addr) string
}

// Prober is an Enforcer that finds out at once whether one address is blocked. What its blocks
// live in can be emptied so that Block sees no trace of it: `ip route flush`, `ipset flush`.
type Prober interface {
	// Missing tells that addr is surely blocked nowhere. A no may mean that it cannot be
	// found out, or that this would be dear.
	Missing(ctx context.Context, addr netip.Addr) bool
}

// Outcome tells what a successful Block found.
type Outcome struct {
	// Founded is set when this call made the place that the blocks live in, so
	// that it held none before: from then on the leases know all of them.
	Founded bool
	// Remade is set when something that blocks rest on was missing (a chain, a jump, a
	// rule on a set, a set, a table, a file) and this call made it again: it may have been
	// flushed or removed, and other blocks with it.
	Remade bool
	// Alone is set when this call put the block into a place that stood, and nothing else
	// is blocked there: if others of its family are leased, somebody flushed them.
	Alone bool
	// Notes are what the administrator should hear though the block stands, such
	// as a file that no installed service reads.
	Notes []string
}

// Block is one address in force, or idle.
type Block struct {
	Addr netip.Addr
	// Counted tells whether Packets and Bytes were measured.
	Counted        bool
	Packets, Bytes uint64
	// Misplaced tells that it stands where another configuration put it. BlockAll moves it.
	Misplaced bool
	// Idle says why it stops nobody though it is there: what it rests on is gone, such as
	// the jump to its chain. "" when it is in force. Block makes that again.
	Idle string
}
