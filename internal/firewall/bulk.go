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

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
)

const (
	// largeChunk is how many rules iptables-restore gets at once. The nf_tables variant
	// sends them in one message, which the kernel refuses to take ("Message too long")
	// where it is larger than a socket's buffer and the sender is not root of the first
	// user namespace (1.8.9: at about 1,000 rules).
	// Deleting takes the kernel a time that grows with the square of it.
	largeChunk = 10_000
	smallChunk = 500
	// bulkRounds is how often deleting starts over because others delete too.
	bulkRounds = 5
)

// allotted is how long a call about n addresses may take.
func (e *Firewall) allotted(n int) time.Duration {
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

// BlockAll implements enforcer.Enforcer. Addresses that another backend blocks are moved.
func (e *Firewall) BlockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	return e.inBulk(ctx, addrs, progress, "blocking", e.blockAll)
}

// UnblockAll implements enforcer.Enforcer.
func (e *Firewall) UnblockAll(ctx context.Context, addrs []netip.Addr, progress func(done int)) error {
	return e.inBulk(ctx, addrs, progress, "unblocking", e.unblockAll)
}

// inBulk does something with the addresses of each family.
func (e *Firewall) inBulk(ctx context.Context, addrs []netip.Addr, progress func(done int), gerund string,
	do func(ctx context.Context, f family, addrs []netip.Addr, progress func(int)) error,
) error {
	if len(addrs) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, e.allotted(len(addrs)))
	defer cancel()
	v4, v6 := split(addrs)
	before, told, looks := 0, 0, false
	for _, group := range [][]netip.Addr{v4, v6} {
		if len(group) == 0 {
			continue
		}
		f, err := e.family(group[0].Is6())
		if e.opts.Backend == NFTables || e.standsInForIPTables(err) {
			err = nil
		}
		if err == nil {
			looks = looks || e.looksEverywhere(f)
			err = do(ctx, f, group, func(done int) {
				if now := before + min(done, len(group)); progress != nil && now > told {
					told = now
					progress(now)
				}
			})
		}
		if err != nil {
			return fmt.Errorf("%s %d addresses: %w", gerund, len(group), err)
		}
		before += len(group)
	}
	if looks {
		if err := e.tidy(ctx); err != nil {
			return fmt.Errorf("clearing up after another backend: %w", err)
		}
	}
	if progress != nil {
		progress(len(addrs))
	}
	return nil
}

// usesTable tells whether blocks of this family live in the table of our own.
func (f family) usesTable() bool {
	return f.opts.Backend == NFTables || f.opts.Backend == Auto && f.program == ""
}

// usesSet and usesRules are usesTable for the other two.
func (f family) usesSet() bool {
	return f.opts.Backend == IPSet || f.opts.Backend == Auto && !f.usesTable()
}

func (f family) usesRules() bool {
	return f.opts.Backend == IPTables || f.opts.Backend == Auto && !f.usesTable()
}

func (e *Firewall) blockAll(ctx context.Context, f family, addrs []netip.Addr, progress func(int)) error {
	var err error
	switch {
	case f.usesTable():
		err = e.fillTable(ctx, addrs, progress)
	case e.opts.Backend == IPSet:
		err = f.fillSet(ctx, addrs, progress)
	case e.opts.Backend == Auto && f.make != unknownMake && !besideFakes:
		err = f.fillBoth(ctx, addrs, progress)
	default:
		err = f.addRules(ctx, addrs, progress)
	}
	if err != nil || !e.looksEverywhere(f) {
		return err
	}
	return f.lift(ctx, addrs, lifting{
		rules: f.usesTable() || e.opts.Backend == IPSet,
		set:   f.usesTable() || e.opts.Backend == IPTables,
		table: !f.usesTable(),
	}, func(int) {})
}

func (e *Firewall) unblockAll(ctx context.Context, f family, addrs []netip.Addr, progress func(int)) error {
	looks := e.looksEverywhere(f)
	return f.lift(ctx, addrs, lifting{rules: true, set: looks, table: looks}, progress)
}

// lifting says out of which places addresses are taken.
type lifting struct{ rules, set, table bool }

// lift takes the addresses out of these places, rules first as Unblock does.
func (f family) lift(ctx context.Context, addrs []netip.Addr, from lifting, progress func(int)) error {
	if from.rules && f.program != "" {
		if err := f.deleteRules(ctx, addrs, progress); err != nil {
			return err
		}
	}
	if err := f.liftStrays(ctx, addrs); err != nil {
		return err
	}
	if from.set || from.table {
		defer f.lock()() // for who carries rules over into the set at this moment
		c, err := dial(ctx)
		if err != nil {
			return err
		}
		defer c.close()
		if from.set {
			if err := setOf(f.v6).doAll(ctx, c, ipsetDel, addrs, progress); err != nil && !noSet(err) && !errors.Is(err, ipsetErrKind) {
				return fmt.Errorf("clearing set %s: %w", setName(f.v6), err)
			}
		}
		if from.table {
			if err := f.emptyTable(ctx, c, addrs, progress); err != nil {
				return fmt.Errorf("clearing set %s of table inet %s: %w", nftSetName(f.v6), nftTableName, err)
			}
		}
	}
	return nil
}

// fillTable is blockNFT for many.
func (e *Firewall) fillTable(ctx context.Context, addrs []netip.Addr, progress func(int)) error {
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	stands, err := e.tableStands(c)
	if err == nil && !stands {
		_, err = e.ensureTable(c)
	}
	if err == nil {
		err = ourTable().doAll(ctx, c, unix.NFT_MSG_NEWSETELEM, unix.NLM_F_CREATE, addrs[0].Is6(), addrs, progress)
	}
	if errors.Is(err, ErrFull) {
		return e.growTable(ctx, c, addrs...)
	}
	return err
}

// emptyTable takes the addresses out of the table of our own, those that are there.
func (f family) emptyTable(ctx context.Context, c *conn, addrs []netip.Addr, progress func(int)) error {
	var err error
	for range bulkRounds {
		in := map[netip.Addr]bool{}
		if err := ourTable().members(c, f.v6, func(b enforcer.Block) { in[b.Addr] = true }); err != nil || len(in) == 0 {
			return err
		}
		there := make([]netip.Addr, 0, len(addrs))
		for _, addr := range addrs {
			if in[addr] {
				there = append(there, addr)
			}
		}
		err = ourTable().doAll(ctx, c, unix.NFT_MSG_DELSETELEM, 0, f.v6, there, progress)
		if !errors.Is(err, unix.ENOENT) { // else another process was first
			break
		}
	}
	return err
}

// ensureRulesPlace makes chain and jumps for rules.
func (f family) ensureRulesPlace(ctx context.Context) error {
	defer f.lock()()
	_, err := f.ensurePlace(ctx)
	return err
}

// addRules makes chain and jumps where they are missing, and adds the rules that are.
func (f family) addRules(ctx context.Context, addrs []netip.Addr, progress func(int)) error {
	if err := f.ensureRulesPlace(ctx); err != nil || len(addrs) == 0 {
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

// deleteRules deletes all rules on the addresses, in the order in which they stand: both
// iptables-restore and the kernel look for each from the head of the chain. A
// transaction that fails because another process was there first is begun anew.
func (f family) deleteRules(ctx context.Context, addrs []netip.Addr, progress func(int)) error {
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
		failed = f.restoreAll(ctx, lines, func(done int) { progress(before + done) })
		if failed != nil && ctx.Err() != nil {
			break
		}
	}
	return failed
}

// restoreAll carries out commands of iptables-restore, each chunk in one transaction.
func (f family) restoreAll(ctx context.Context, lines []string, progress func(done int)) error {
	restore, err := exec.Find(filepath.Base(f.program)+"-restore", []string{filepath.Dir(f.program)})
	if errors.Is(err, exec.ErrNotFound) {
		return f.oneByOne(ctx, lines, progress)
	}
	if err != nil {
		return err
	}
	size, done := largeChunk, 0
	for done < len(lines) {
		chunk := lines[done:min(done+size, len(lines))]
		text := "*" + table + "\n" + strings.Join(chunk, "\n") + "\nCOMMIT\n"
		_, err := exec.Command(ctx, restore, text, "-w", f.wait(), "--noflush")
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
		if _, err := exec.Command(ctx, f.program, "", args...); err != nil {
			return err
		}
		progress(i + 1)
	}
	return nil
}
