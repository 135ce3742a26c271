// Package enforcer is the seam between what is wanted (leases) and what carries it out:
// packet filter rules, hosts.deny lines, blackhole routes. It holds the contract that all
// enforcers keep and nothing that touches a host. The same contract as a test, which the
// fake and the kernel both pass, is in enforcertest.
package enforcer

import (
	"context"
	"errors"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// ErrFull says that no further address fits where the blocks live.
var ErrFull = errors.New("the set of blocked addresses is full")

// Refused says why a target is never blocked. It is no failure: the call is skipped.
type Refused struct{ Why string }

func (r *Refused) Error() string { return r.Why }

// Kind is one way to block, as a response and ossec-ar make it.
type Kind struct {
	Name    string // of the response: "firewall-drop"
	Summary string // one line for people
	// Accounts reports that its targets are accounts; else they are addresses and networks.
	Accounts bool
	// InFile reports that the blocks live in a file, which outlives a reboot.
	InFile bool
	// New makes the enforcer. It runs and changes nothing. stateDir is the folder for lock
	// files, "" when there is none that can be used.
	New func(settings config.Config, stateDir string) (Enforcer, error)
	// Hint returns advice on an error for a person, "" for none; nil has none.
	Hint func(error) string
	// Effect reports whether blocks have an effect on the host below root ("/"), and says by what,
	// or what to use instead; nil always has. It may take a while, so only ossec-ar sets it.
	Effect func(root string) (works bool, text string)
}

// Mixed reports that the administrator may have entries of his own that look like blocks, in the file
// that these are in. Which accounts were locked here is recorded.
func (k Kind) Mixed() bool { return k.InFile && !k.Accounts }

// Known is what the leases say before a Block. It spares the enforcer questions to the kernel.
type Known struct {
	// Leased reports that the target was leased before, so it may be blocked already.
	// When it is false, nothing of this enforcer blocks it, as far as anybody knows.
	Leased bool
	// Others is how many other leases there are on targets of the same family.
	Others int
}

// Unknown is what is known when the leases cannot be read: nothing.
var Unknown = Known{Leased: true}

// Enforcer puts blocks in force and lifts them. A target is an address, which is unmapped and
// without a zone, a network of IPv6, or an account, as its Kind says. Every method is safe
// beside other processes that do the same, and bounded in time by its context. Block, Unblock,
// BlockAll, UnblockAll are idempotent.
type Enforcer interface {
	// Block returns nil only when t is blocked. It makes the place that blocks live in
	// (chain and jump, set, table, file) when that is missing, and reports so: then other
	// blocks may be missing, too.
	Block(ctx context.Context, t target.Target, known Known) (Outcome, error)

	// Unblock returns nil only when nothing of this enforcer blocks t any more, also when
	// nothing did.
	Unblock(ctx context.Context, t target.Target) error

	// BlockAll is Block for many, in few transactions. It returns nil only when all targets are
	// blocked, and blocks none twice. When it fails, some may be blocked.
	BlockAll(ctx context.Context, targets []target.Target) error

	// UnblockAll is Unblock for many, as BlockAll is Block.
	UnblockAll(ctx context.Context, targets []target.Target) error

	// List returns what stands now and what is wrong with its place. It changes nothing. A
	// place that was never made holds nothing, and nothing is wrong with it.
	List(ctx context.Context) (Listing, error)

	// Mend makes the place as it should be for blocks that stand: jumps first, set dropped,
	// what another configuration left moved or removed. It blocks nobody who was not. Where
	// nothing stands it makes nothing. It returns what it changed, a line each.
	Mend(ctx context.Context) (changes []string, err error)

	// Flush lifts all blocks of this enforcer and nothing else.
	Flush(ctx context.Context) error

	// Describe returns one line that says what Block would do, for a dry run.
	Describe(t target.Target) string
}

// Joint is an enforcer for which lifting many blocks takes no longer than lifting one.
type Joint interface {
	// UnblockJoint is Unblock that, where it has anything to do, also lifts what waiting returns: blocks
	// that other processes are lifting, and wait for their turn. They find it done. It is called
	// while they are locked out.
	UnblockJoint(ctx context.Context, t target.Target, waiting func() []target.Target) error
}

// Outcome is what a successful Block found.
type Outcome struct {
	// Made reports that this call made the place, or a part of it: all other leased addresses
	// must be blocked again.
	Made bool
	// Already reports that it was in force before this call, which changed nothing. It is false
	// where finding that out takes a question more.
	Already bool
	// Notes are what the administrator should hear though the block stands.
	Notes []string
}

// Listing is what an enforcer holds.
type Listing struct {
	Blocks []Block // each target once, in no set order
	// Faults are what is wrong with the place, a line each, so that Mend is needed: "INPUT
	// does not jump to OSSEC_AR".
	Faults []string
}

// Block is one target that stands.
type Block struct {
	Target target.Target
	// Counted reports whether Packets and Bytes were measured.
	Counted        bool
	Packets, Bytes uint64
	// Shared reports that the administrator may have made it himself, so that it stays though nobody
	// leases it. All that is Mixed is.
	Shared bool
	// Open is why packets come by though it stands, "" when it is in force.
	Open string
	// Never is why Block would refuse it by now, "" when it would not.
	Never string
}

// Stock is an enforcer that knows the blocks which the stock program that it stands in for has left
// behind. Nothing else that it does finds or frees them.
type Stock interface {
	Stock(ctx context.Context) ([]target.Target, error)
	// LiftStock lifts those blocks of the targets.
	LiftStock(ctx context.Context, targets []target.Target) error
}
