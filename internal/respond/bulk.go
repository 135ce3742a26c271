package respond

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// importer is the program name that imported addresses are leased by.
const importer = "import"

// importList blocks the addresses of a list until unimport. It changes nothing when a line
// of the list cannot be read. No line is logged for each address: a list of a hundred
// thousand would be as many alerts.
func (p *call) importList(ctx context.Context, path string) int {
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	addrs, err := p.readList(path)
	if err != nil {
		p.Complain(err)
		return app.ExitFailed
	}
	never := p.neverBlocked(ctx)
	count := len(addrs)
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool {
		match, covered := never.Match(a)
		if covered {
			p.say("Skipped IP: %s: whitelisted by %s", a, match)
		}
		return covered
	})
	skipped := count - len(addrs)
	if p.dryRun {
		p.say("would block %d addresses, skip %d", len(addrs), skipped)
		return app.ExitOK
	}
	blocked := 0
	err = p.inChunks(addrs, func(part []netip.Addr) error {
		if err := p.importPart(ctx, part); err != nil {
			return err
		}
		blocked += len(part)
		return nil
	})
	p.leaseFaults(nil)
	if err != nil {
		return p.fail(fmt.Errorf("importing %s: %d of %d addresses are blocked: %w", path, blocked, len(addrs), err))
	}
	p.say("Blocked %d addresses, skipped %d", len(addrs), skipped)
	return app.ExitOK
}

// importPart leases and blocks addresses, in this order: nobody would lift what a kill left
// in between. Those that cannot be blocked are not held either.
func (p *call) importPart(ctx context.Context, addrs []netip.Addr) error {
	now := p.Now().UTC()
	leases := make([]lease.Lease, len(addrs))
	for i, a := range addrs {
		leases[i] = lease.Lease{Addr: a, Program: importer, Since: now, Renewed: now}
	}
	leaseErr := p.store.TakeAll(leases)
	err := p.enforcer.BlockAll(ctx, addrs, nil)
	if err != nil {
		var taken []netip.Addr // that were not held before
		for _, l := range leases {
			if l.Since.Equal(now) {
				taken = append(taken, l.Addr)
			}
		}
		_, undone := p.giveBackAll(ctx, taken, importer)
		err = errors.Join(err, undone)
	}
	return errors.Join(err, leaseErr)
}

// Bounds of a list that is imported, and how many of its faults are told.
const (
	maxList       = 10_000_000
	maxListFaults = 10
)

// readList reads one address a line, sorted, each once. Every line that holds none is a
// fault; all are told together.
func (p *call) readList(path string) ([]netip.Addr, error) {
	in, name := p.Stdin, "standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the list: %w", err)
		}
		defer file.Close() // only read from
		in, name = file, path
	}
	var addrs []netip.Addr
	var faults []error
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text, _, _ = strings.Cut(text, ";") // the comments of some public lists
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if network, err := netip.ParsePrefix(text); err == nil && network.IsSingleIP() {
			text = network.Addr().String()
		}
		addr, err := arproto.ParseAddr(text)
		switch {
		case err != nil && len(faults) < maxListFaults:
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, n, err))
		case err != nil:
		case len(addrs) == maxList:
			return nil, fmt.Errorf("%s:%d: more than %d addresses", name, n, maxList)
		default:
			addrs = append(addrs, addr)
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("reading %s: %w", name, err))
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs), errors.Join(faults...)
}

// flushProgram ends all leases of one program and frees what nobody else holds.
func (p *call) flushProgram(ctx context.Context, name string) int {
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	leases, err := p.leases()
	if err != nil {
		return p.fail(err)
	}
	var addrs []netip.Addr
	for _, l := range leases {
		if l.Program == name {
			addrs = append(addrs, l.Addr)
		}
	}
	if p.dryRun {
		p.say("would give up %d addresses that %s holds", len(addrs), name)
		return app.ExitOK
	}
	var freed []netip.Addr
	err = p.inChunks(addrs, func(part []netip.Addr) error {
		free, err := p.giveBackAll(ctx, part, name)
		freed = append(freed, free...)
		return err
	})
	if name != importer {
		p.logUnblocked(freed, "(all of "+name+", by hand)")
	}
	p.leaseFaults(nil)
	if err != nil {
		return p.fail(err)
	}
	p.say("Gave up %d addresses that %s held", len(addrs), name)
	return app.ExitOK
}

// export prints the addresses that are held.
func (p *call) export(context.Context) int {
	p.looking = true
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	leases, err := p.store.All()
	if err != nil {
		p.Complain(err)
		return app.ExitFailed
	}
	out := bufio.NewWriter(p.Stdout)
	var last netip.Addr
	for _, l := range leases { // in order of address
		if l.Addr != last && !l.Lifting {
			fmt.Fprintln(out, l.Addr)
			last = l.Addr
		}
	}
	if err := out.Flush(); err != nil {
		p.Complain(fmt.Errorf("writing the list: %w", err))
		return app.ExitFailed
	}
	return app.ExitOK
}

// bar shows on a terminal how far something that takes long has come.
type bar struct {
	to          io.Writer
	done, total int
}

// newBar returns a bar on standard error, if that is a terminal.
func (p *call) newBar(total int) *bar {
	if file, ok := p.Stderr.(*os.File); ok && total > chunk && term.IsTerminal(int(file.Fd())) {
		return &bar{to: file, total: total}
	}
	return &bar{to: io.Discard, total: total}
}

func (b *bar) add(n int) {
	const width = 40
	b.done += n
	full := width * b.done / max(1, b.total)
	fmt.Fprintf(b.to, "\r[%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat("-", width-full), b.done, b.total)
}

func (b *bar) end() { fmt.Fprint(b.to, "\r\x1b[K") }
