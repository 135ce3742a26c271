package enforcertest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Fake is an enforcer in memory. It keeps the contract, and can be made to fail and to lose
// what it holds as a host does. It is safe for use by several goroutines; the fields are set
// before.
type Fake struct {
	Room  int      // how many addresses fit; 0 for any number
	Notes []string // of each successful Block
	// Before, when set, is called at the start of each method with the addresses that it is
	// about, and its error is the method's. It may wait for the context.
	Before func(ctx context.Context, method string, addrs ...target.Target) error

	mu       sync.Mutex
	blocks   map[target.Target]bool
	made     bool // the place stands
	aside    bool // the place is there, and packets pass it by
	calls    []string
	methods  map[string]error
	failures map[target.Target]error
}

// NewFake returns one that blocks nothing and whose place was never made.
func NewFake() *Fake {
	return &Fake{blocks: map[target.Target]bool{}, methods: map[string]error{},
		failures: map[target.Target]error{}}
}

// Kind returns a kind whose enforcer is this one.
func (f *Fake) Kind(name string) enforcer.Kind {
	return enforcer.Kind{Name: name, Summary: "blocks addresses in memory",
		New: func(config.Config, string) (enforcer.Enforcer, error) { return f, nil }}
}

// Fail makes a method ("Block", "List") fail with err from now on, and work again with nil.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.methods[method] = err
}

// FailAddr makes Block, Unblock, BlockAll and UnblockAll fail on addr, and work again with
// nil. Of many, the others are blocked and lifted.
func (f *Fake) FailAddr(addr target.Target, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures[addr] = err
}

// Lose lifts addrs, or all blocks where none are named, as somebody does who flushes the
// chain: the place stays.
func (f *Fake) Lose(addrs ...target.Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, addr := range addrs {
		delete(f.blocks, addr)
	}
	if len(addrs) == 0 {
		clear(f.blocks)
	}
}

// LosePlace takes the place away with all blocks, as a restart of the host does. The next
// Block makes it.
func (f *Fake) LosePlace() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.blocks)
	f.made, f.aside = false, false
}

// Bypass leaves the blocks where they are and leads packets past them, as a lost jump does,
// until Mend, or a Block, which then reports that it made the place.
func (f *Fake) Bypass() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aside = f.made
}

// Put blocks addrs behind everybody's back.
func (f *Fake) Put(addrs ...target.Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made = true
	for _, addr := range addrs {
		f.blocks[addr] = true
	}
}

// Blocked returns what stands, in order.
func (f *Fake) Blocked() []target.Target {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sorted()
}

// Calls returns the calls since it was made or since the last Calls, a line each:
// "Block 203.0.113.7", "List".
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *Fake) sorted() []target.Target {
	addrs := make([]target.Target, 0, len(f.blocks))
	for addr := range f.blocks {
		addrs = append(addrs, addr)
	}
	slices.SortFunc(addrs, target.Target.Compare)
	return addrs
}

// enter notes the call, fails as configured, and locks.
func (f *Fake) enter(ctx context.Context, method string, addrs ...target.Target) (unlock func(), err error) {
	if f.Before != nil {
		if err := f.Before(ctx, method, addrs...); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	line := method
	for _, addr := range addrs {
		line += " " + addr.String()
	}
	f.calls = append(f.calls, line)
	err = f.methods[method]
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	return f.mu.Unlock, nil
}

// Block implements enforcer.Enforcer.
func (f *Fake) Block(ctx context.Context, addr target.Target, _ enforcer.Known) (enforcer.Outcome, error) {
	unlock, err := f.enter(ctx, "Block", addr)
	if err != nil {
		return enforcer.Outcome{}, err
	}
	defer unlock()
	had := f.blocks[addr]
	made, err := f.put(addr)
	if err != nil {
		return enforcer.Outcome{}, fmt.Errorf("adding %s: %w", addr, err)
	}
	return enforcer.Outcome{Made: made, Already: had && !made, Notes: slices.Clone(f.Notes)}, nil
}

// put blocks addr and reports whether it made the place.
func (f *Fake) put(addr target.Target) (made bool, err error) {
	if err := f.failures[addr]; err != nil {
		return false, err
	}
	if f.Room > 0 && !f.blocks[addr] && len(f.blocks) >= f.Room {
		return false, enforcer.ErrFull
	}
	made = !f.made || f.aside
	f.made, f.aside = true, false
	f.blocks[addr] = true
	return made, nil
}

// Unblock implements enforcer.Enforcer.
func (f *Fake) Unblock(ctx context.Context, addr target.Target) error {
	unlock, err := f.enter(ctx, "Unblock", addr)
	if err != nil {
		return err
	}
	defer unlock()
	if err := f.failures[addr]; err != nil {
		return fmt.Errorf("removing %s: %w", addr, err)
	}
	delete(f.blocks, addr)
	return nil
}

// BlockAll implements enforcer.Enforcer.
func (f *Fake) BlockAll(ctx context.Context, addrs []target.Target) error {
	unlock, err := f.enter(ctx, "BlockAll", addrs...)
	if err != nil {
		return err
	}
	defer unlock()
	var failed enforcer.Failures
	for _, addr := range addrs {
		if _, err := f.put(addr); err != nil {
			failed.Add(fmt.Errorf("adding %s: %w", addr, err))
		}
	}
	return failed.All()
}

// UnblockAll implements enforcer.Enforcer.
func (f *Fake) UnblockAll(ctx context.Context, addrs []target.Target) error {
	unlock, err := f.enter(ctx, "UnblockAll", addrs...)
	if err != nil {
		return err
	}
	defer unlock()
	var failed enforcer.Failures
	for _, addr := range addrs {
		if err := f.failures[addr]; err != nil {
			failed.Add(fmt.Errorf("removing %s: %w", addr, err))
			continue
		}
		delete(f.blocks, addr)
	}
	return failed.All()
}

const bypassed = "packets do not come by the place"

// List implements enforcer.Enforcer.
func (f *Fake) List(ctx context.Context) (enforcer.Listing, error) {
	unlock, err := f.enter(ctx, "List")
	if err != nil {
		return enforcer.Listing{}, err
	}
	defer unlock()
	var listing enforcer.Listing
	open := ""
	if f.aside {
		open = bypassed
		listing.Faults = []string{bypassed}
	}
	for _, addr := range f.sorted() {
		listing.Blocks = append(listing.Blocks, enforcer.Block{Target: addr, Open: open})
	}
	return listing, nil
}

// Mend implements enforcer.Enforcer.
func (f *Fake) Mend(ctx context.Context) ([]string, error) {
	unlock, err := f.enter(ctx, "Mend")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !f.aside {
		return nil, nil
	}
	f.aside = false
	return []string{"led packets by the place again"}, nil
}

// Flush implements enforcer.Enforcer.
func (f *Fake) Flush(ctx context.Context) error {
	unlock, err := f.enter(ctx, "Flush")
	if err != nil {
		return err
	}
	defer unlock()
	clear(f.blocks)
	f.made, f.aside = false, false
	return nil
}

// Describe implements enforcer.Enforcer.
func (f *Fake) Describe(addr target.Target) string {
	return "would keep " + addr.String() + " in memory"
}
