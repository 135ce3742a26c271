package control

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// importer is the program that imported addresses are leased by.
const importer = "import"

// Bounds of a list that is imported, and how many of its faults are reported.
const (
	maxList       = 10_000_000
	maxListFaults = 10
)

// importList blocks the addresses of a list until unimport. Lines that hold no single address are
// reported and left out, which is a failure unless --skip-invalid is given. One line is logged for
// the whole: each address would be an alert.
func importList(t *tool, c *cli.Context) error {
	if t.chosen[0].Accounts {
		return command.Mistaken("nothing was done", "a list is of addresses, and %s is about accounts",
			t.chosen[0].Name)
	}
	limit, err := duration(c, forFlag)
	if err != nil {
		return err
	}
	l, err := readList(t, c.Args().First())
	if err != nil {
		return err
	}
	incomplete := l.report(t) && !c.Bool("skip-invalid")
	r, err := t.open(t.chosen[0], false)
	if err != nil {
		return err
	}
	never, faults := t.whitelist()
	t.warn(r, faults)
	now := t.Now().UTC()
	like := lease.Lease{Program: importer, Since: now, Renewed: now}
	if limit > 0 {
		like.Until = now.Add(limit)
	}
	all, sessions := len(l.addrs), sessions(t)
	addrs := slices.DeleteFunc(l.addrs, func(a netip.Addr) bool {
		if what, from := sessions[a]; from {
			t.say("Skipped IP: %s: %s comes from it", a, what)
			return true
		}
		match, covered := never.Match(a)
		if covered {
			t.say("Skipped IP: %s: whitelisted by %s", a, match)
		}
		return covered
	})
	what, skipped := printable.Count(len(addrs), "address"), all-len(addrs)
	if t.dryRun {
		t.say("would block %s, skip %d (%s)", what, skipped, r.Kind.Name)
		return command.Reported(incomplete)
	}
	bar := newBar(t.Stderr)
	targets := make([]target.Target, len(addrs))
	for i, addr := range addrs {
		targets[i] = target.Of(addr)
	}
	err = r.TakeAll(c.Context, targets, like, covers(never), bar.show)
	bar.end()
	r.leaseFaults(arproto.Request{}, nil)
	if err != nil {
		t.Complain(r.failed(arproto.Request{}, fmt.Errorf("importing %s: %w", l.name, err)))
		t.Advise(t.Name +
			" list --program import shows what is blocked; what is not waits for the next repair")
		return command.ErrReported
	}
	r.log.Write(record.Entry{Status: arlog.StatusAdd, Message: "Imported " + what + " (by hand)"})
	t.say("Blocked %s, skipped %d (%s)", what, skipped, r.Kind.Name)
	return command.Reported(incomplete)
}

// listFile is what a file to import holds.
type listFile struct {
	name     string
	addrs    []netip.Addr // in order, each once
	faults   []error      // the first few
	networks int          // lines that are a network
	others   int          // lines that are no address for another reason
}

// report prints the faults of lines that hold no single address, and reports whether there are any.
func (l *listFile) report(t *tool) bool {
	for _, fault := range l.faults {
		t.Complain(fault)
	}
	if more := l.networks + l.others - len(l.faults); more > 0 {
		t.Complain(fmt.Errorf("%s: and %d more", l.name, more))
	}
	var what []string
	if l.networks > 0 {
		what = append(what, printable.Count(l.networks, "network"))
	}
	if l.others > 0 {
		what = append(what, printable.Count(l.others, "line")+" without an address")
	}
	if what != nil {
		t.Complain(fmt.Errorf("%s: left out %s", l.name, strings.Join(what, " and ")))
	}
	return what != nil
}

// readList reads one address a line. # and ; begin comments.
func readList(t *tool, path string) (listFile, error) {
	l := listFile{name: "standard input"}
	var in io.Reader = t.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return l, fmt.Errorf("reading the list: %w", err)
		}
		defer file.Close() // only read from
		in, l.name = file, printable.Line(path)
	}
	lines := bufio.NewScanner(in)
	n := 1
	for ; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text, _, _ = strings.Cut(text, ";") // the comments of some public lists
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if len(l.addrs) == maxList {
			return l, fmt.Errorf("%s:%d: more than %d addresses", l.name, n, maxList)
		}
		l.take(text, n)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return l, fmt.Errorf("%s:%d: this line is too long for a list of addresses", l.name, n)
	} else if err != nil {
		return l, fmt.Errorf("reading the list: %w", err)
	}
	slices.SortFunc(l.addrs, netip.Addr.Compare)
	l.addrs = slices.Compact(l.addrs)
	return l, nil
}

// take adds what a line holds. A network of one address is that address.
func (l *listFile) take(text string, line int) {
	network, err := netip.ParsePrefix(text)
	isNetwork := err == nil && !network.IsSingleIP()
	if err == nil && network.IsSingleIP() {
		text = network.Addr().String()
	}
	request, err := address(text)
	switch {
	case err == nil:
		l.addrs = append(l.addrs, request.Addr)
		return
	case isNetwork:
		l.networks++
		err = fmt.Errorf("%s is a network; networks are not blocked", network)
	default:
		l.others++
	}
	if len(l.faults) < maxListFaults {
		l.faults = append(l.faults, fmt.Errorf("%s:%d: %w", l.name, line, err))
	}
}
