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

	"github.com/ossec-ar/ossec-ar/internal/app"
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

// importList blocks the addresses of a list until unimport. When a line holds no single address
// nothing is changed, unless --skip-invalid is given. One line is logged for the whole: each
// address would be an alert.
func (t many) importList(c *cli.Context) int {
	limit, err := duration(c)
	if err != nil {
		return t.usage(err)
	}
	list, err := t.readList(c.Args().First())
	if err != nil {
		return t.fail(err)
	}
	skip := c.Bool("skip-invalid")
	if !t.reportInvalid(list, skip) && !skip {
		return app.ExitFailed
	}
	r, err := t.open(t.chosen[0], false)
	if err != nil {
		return t.fail(err)
	}
	never, faults := t.whitelist()
	t.warn(r, faults)
	now := t.Now().UTC()
	like := lease.Lease{Program: importer, Since: now, Renewed: now}
	if limit > 0 {
		like.Until = now.Add(limit)
	}
	all := len(list.addrs)
	addrs := slices.DeleteFunc(list.addrs, func(a netip.Addr) bool {
		if isOwnPeer(t.tool, a) {
			t.say("Skipped IP: %s: your SSH session comes from it", a)
			return true
		}
		match, covered := never.Match(a)
		if covered {
			t.say("Skipped IP: %s: whitelisted by %s", a, match)
		}
		return covered
	})
	skipped := all - len(addrs)
	if t.dryRun {
		t.say("would block %s, skip %d (%s)", count(len(addrs), "address"), skipped, r.Kind.Name)
		return app.ExitOK
	}
	bar := newBar(t.Stderr)
	targets := make([]target.Target, len(addrs))
	for i, addr := range addrs {
		targets[i] = target.Of(addr)
	}
	err = r.TakeAll(c.Context, targets, like, bar.show)
	bar.end()
	r.leaseFaults(arproto.Request{}, nil)
	if err != nil {
		t.failed(r, fmt.Errorf("importing %s: %w", list.name, err))
		t.Advise(t.Name +
			" list --program import shows what is blocked; what is not waits for the next repair")
		return app.ExitFailed
	}
	what := count(len(addrs), "address")
	r.log.Write(record.Entry{Status: arlog.StatusAdd, Message: "Imported " + what + " (by hand)"})
	t.say("Blocked %s, skipped %d (%s)", what, skipped, r.Kind.Name)
	return app.ExitOK
}

// list is what a file to import holds.
type list struct {
	name     string
	addrs    []netip.Addr // in order, each once
	faults   []error      // the first few
	networks int          // lines that are a network
	others   int          // lines that are no address for another reason
}

// reportInvalid reports the lines that hold no single address, and whether there are none.
func (t many) reportInvalid(l list, skip bool) bool {
	if l.networks+l.others == 0 {
		return true
	}
	for _, fault := range l.faults {
		t.Complain(fault)
	}
	if more := l.networks + l.others - len(l.faults); more > 0 {
		t.Complain(fmt.Errorf("%s: and %d more", l.name, more))
	}
	var what []string
	if l.networks > 0 {
		what = append(what, count(l.networks, "network"))
	}
	if l.others > 0 {
		what = append(what, count(l.others, "line")+" without an address")
	}
	if skip {
		t.Complain(fmt.Errorf("%s: left out %s", l.name, strings.Join(what, ", ")))
		return false
	}
	t.Complain(fmt.Errorf("nothing was imported: %s has %s", l.name, strings.Join(what, ", ")))
	t.Advise("--skip-invalid imports the rest")
	return false
}

// readList reads one address a line. # and ; begin comments.
func (t many) readList(path string) (list, error) {
	l := list{name: "standard input"}
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
		return l, fmt.Errorf("reading %s: %w", l.name, err)
	}
	slices.SortFunc(l.addrs, netip.Addr.Compare)
	l.addrs = slices.Compact(l.addrs)
	return l, nil
}

// take adds what a line holds. A network of one address is that address.
func (l *list) take(text string, line int) {
	network, err := netip.ParsePrefix(text)
	isNetwork := err == nil && !network.IsSingleIP()
	if err == nil && network.IsSingleIP() {
		text = network.Addr().String()
	}
	request, err := address(text)
	if err == nil {
		l.addrs = append(l.addrs, request.Addr)
		return
	}
	if isNetwork {
		l.networks++
	} else {
		l.others++
	}
	if len(l.faults) < maxListFaults {
		l.faults = append(l.faults, fmt.Errorf("%s:%d: %w", l.name, line, err))
	}
}
