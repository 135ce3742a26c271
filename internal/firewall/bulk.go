package firewall

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/run"
)

const (
	// largeChunk is how many rules iptables-restore gets at once. The nf_tables variant
	// sends them in one message, which the kernel refuses to take ("Message too long")
	// where it is larger than a socket's buffer and the sender is not root of the first
	// user namespace (1.8.9: at about 1,000 rules).
	largeChunk = 50_000
	smallChunk = 500
	// bulkRounds is how often deleting starts over because others delete too.
	bulkRounds = 5
)

// allotted is how long a call about n addresses may take.
func (e *IPTables) allotted(n int) time.Duration {
	return e.opts.Timeout + time.Duration(n)*10*time.Millisecond
}

// split parts addresses by family, each once.
func split(addrs []netip.Addr) (v4, v6 []netip.Addr) {
	seen := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		if seen[addr] {
			continue
		}
		seen[addr] = true
		if addr.Is4() {
			v4 = append(v4, addr)
		} else {
			v6 = append(v6, addr)
		}
	}
	return v4, v6
}

// BlockAll implements enforcer.Enforcer.
func (e *IPTables) BlockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	return e.inBulk(ctx, addrs, progress, "adding", family.blockAll)
}

// UnblockAll implements enforcer.Enforcer.
func (e *IPTables) UnblockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	return e.inBulk(ctx, addrs, progress, "deleting", family.unblockAll)
}

// inBulk does something with the addresses of each family.
func (e *IPTables) inBulk(ctx context.Context, addrs []netip.Addr, progress func(done int), gerund string,
	do func(f family, ctx context.Context, addrs []netip.Addr, progress func(int)) error,
) error {
	if len(addrs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.allotted(len(addrs)))
	defer cancel()
	v4, v6 := split(addrs)
	before := 0
	for _, group := range [][]netip.Addr{v4, v6} {
		if len(group) == 0 {
			continue
		}
		f, err := e.family(group[0].Is6())
		if err == nil {
			err = do(f, ctx, group, func(done int) {
				if progress != nil {
					progress(before + done)
				}
			})
		}
		if err != nil {
			return fmt.Errorf("%s rules for %d addresses: %w", gerund, len(group), err)
		}
		before += len(group)
	}
	if progress != nil {
		progress(len(addrs))
	}
	return nil
}

// blockAll makes chain and jumps where they are missing, and adds the rules that are.
func (f family) blockAll(ctx context.Context, addrs []netip.Addr, progress func(int)) error {
	if _, err := f.ensurePlace(ctx); err != nil {
		return err
	}
	rules, err := f.rules(ctx)
	if err != nil {
		return err
	}
	stands := make(map[netip.Addr]bool, len(rules))
	for _, r := range rules {
		stands[r.addr] = true
	}
	lines := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		if !stands[addr] {
			lines = append(lines, "-A "+Chain+" "+strings.Join(f.rule(addr), " "))
		}
	}
	standing := len(addrs) - len(lines)
	return f.restoreAll(ctx, lines, func(done int) { progress(standing + done) })
}

// unblockAll deletes all rules on the addresses, in the order in which they stand: both
// iptables-restore and the kernel look for each from the head of the chain. A
// transaction that fails because another process was there first is begun anew.
func (f family) unblockAll(ctx context.Context, addrs []netip.Addr, progress func(int)) error {
	gone := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		gone[addr] = true
	}
	var failed error
	for range bulkRounds {
		rules, err := f.rules(ctx)
		if err != nil {
			return err
		}
		var lines []string
		for _, r := range rules {
			if gone[r.addr] {
				lines = append(lines, "-D "+Chain+" "+strings.Join(r.spec, " "))
			}
		}
		if len(lines) == 0 {
			return nil
		}
		before := max(0, len(addrs)-len(lines))
		failed = f.restoreAll(ctx, lines, func(done int) { progress(min(before+done, len(addrs))) })
		if failed != nil && ctx.Err() != nil {
			break
		}
	}
	return failed
}

// restoreAll carries out commands of iptables-restore, each chunk in one transaction.
func (f family) restoreAll(ctx context.Context, lines []string, progress func(done int)) error {
	restore, err := run.Find(filepath.Base(f.program)+"-restore", []string{filepath.Dir(f.program)})
	if errors.Is(err, run.ErrNotFound) {
		return f.oneByOne(ctx, lines, progress)
	}
	if err != nil {
		return err
	}
	size, done := largeChunk, 0
	for done < len(lines) {
		chunk := lines[done:min(done+size, len(lines))]
		text := "*" + table + "\n" + strings.Join(chunk, "\n") + "\nCOMMIT\n"
		_, err := run.Command(ctx, restore, text, "-w", f.wait(), "--noflush")
		if err != nil && len(chunk) > smallChunk && ctx.Err() == nil {
			size = smallChunk
			continue
		}
		if err != nil {
			return err
		}
		done += len(chunk)
		progress(done)
	}
	return nil
}

// oneByOne is for a host that has no iptables-restore.
func (f family) oneByOne(ctx context.Context, lines []string, progress func(done int)) error {
	for i, line := range lines {
		args := slices.Concat([]string{"-w", f.wait(), "-t", table}, strings.Fields(line))
		if _, err := run.Command(ctx, f.program, "", args...); err != nil {
			return err
		}
		progress(i + 1)
	}
	return nil
}
