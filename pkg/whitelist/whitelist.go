// Package whitelist decides which addresses are never blocked. It gathers entries
// from anywhere (a configuration, files, the host itself) and answers for one
// address which entry covers it and where that entry stands. A broken entry or file
// is reported and all others still count. It asks no name server: what the addresses of
// a host name are, its user has found out before, so that a name server that is down, or
// owned by the attacker, cannot hold up a response.
package whitelist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// List is a set of entries. The zero value is an empty one, with no addresses of names.
type List struct {
	// Names returns the addresses of a host name; nil leaves names out.
	Names func(name string) ([]netip.Addr, error)
	// Translated makes the forms of an IPv4 address within IPv6 that lead to the same host,
	// NAT64 (64:ff9b::/96) and 6to4 (2002::/16), that address.
	Translated bool
	// Strange says that strangers may have written what is added by Add from now on.
	Strange bool

	networks []network
	hosts    []host
	files    []file
	unasked  BuiltIn // what the kernel has not been asked for yet
	faults   []error
	broken   int // faults of Add
}

type network struct {
	prefix       netip.Prefix
	text, source string
	line         int // in the file source, 0 when source is enough
}

func (n network) match() Match {
	if n.line == 0 {
		return Match{n.text, n.source}
	}
	return Match{n.text, fmt.Sprintf("%s:%d", n.source, n.line)}
}

type host struct {
	name, source string
	strange      bool // strangers may have written it
}

// Match is the entry that covers an address.
type Match struct {
	Entry  string // as it was written
	Source string // where it stands: "/var/ossec/etc/ossec.conf:12", "built in", ...
}

func (m Match) String() string { return fmt.Sprintf("%s (%s)", m.Entry, m.Source) }

// Add adds an entry in any of the forms of parseEntry. source says where it
// stands, in messages. A broken entry is also kept for Faults; what is sound in it counts.
func (l *List) Add(text, source string) error {
	text = strings.TrimSpace(text)
	values, faults := parseEntry(text)
	for i, err := range faults {
		faults[i] = fmt.Errorf("%s: whitelist %w", source, err)
	}
	l.faults = append(l.faults, faults[:min(len(faults), max(0, maxAdded-l.broken))]...)
	l.broken += len(faults)
	for _, v := range values {
		if v.host != "" {
			l.hosts = append(l.hosts, host{v.host, source, l.Strange})
		} else {
			l.AddPrefix(v.prefix, text, source)
		}
	}
	return errors.Join(faults...)
}

// AddPrefix adds a network that needs no parsing. text is how a person knows it.
func (l *List) AddPrefix(p netip.Prefix, text, source string) {
	l.networks = append(l.networks, network{p, text, source, 0})
}

// AddFile adds a file of one entry a line, in which # begins a comment. It is read
// when an address is matched, line by line, so its size costs time but no memory.
func (l *List) AddFile(path string) { l.files = append(l.files, file{path: path}) }

// file is a file of entries. It is below a folder that no link leads out of, unless that is "".
type file struct{ path, below string }

// open opens the file. Below a folder a link in the place of the file is not followed either.
func (f file) open() (*state.File, error) {
	if f.below == "" {
		return state.Open(f.path)
	}
	name, err := filepath.Rel(f.below, f.path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(f.below + "/") // "/": a pipe in its place would be waited for
	if err != nil {
		return nil, err
	}
	defer root.Close() // only read from
	return state.OpenIn(root, name)
}

// AddDir adds every file of a folder, in order of name, but those whose name begins
// with a dot or ends in ~. A missing folder is an empty one.
func (l *List) AddDir(dir string) {
	entries, err := os.ReadDir(dir)
	l.addDir(dir, "", entries, err)
}

// Bounds of what counts of a folder that strangers can write in: each call of a response reads it.
const (
	maxStrangeFiles = 16
	maxStrangeFile  = 64 << 10 // bytes
)

// AddDirBelow is AddDir of the folder called name in a folder that strangers can write in: links are
// not followed, so that no file of somebody else is shown, or asked for as a host name. Of more than 16
// files, or more than 64 KiB in one, the rest does not count.
func (l *List) AddDirBelow(above, name string) {
	root, err := os.OpenRoot(above + "/")
	if err != nil {
		l.addDir("", "", nil, err)
		return
	}
	defer root.Close() // only read from
	var entries []fs.DirEntry
	dir, err := root.Open(name + "/.") // "/.": a pipe in its place would be waited for
	if err == nil {
		entries, err = dir.ReadDir(maxStrangeFiles + 1)
		_ = dir.Close() // only read from
	}
	if errors.Is(err, io.EOF) { // an empty one
		err = nil
	}
	path := filepath.Join(above, name)
	if len(entries) > maxStrangeFiles {
		l.faults = append(l.faults,
			fmt.Errorf("whitelist folder %s has more than %d files: the rest does not count", path, maxStrangeFiles))
		entries = entries[:maxStrangeFiles]
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	l.addDir(path, above, entries, err)
}

func (l *List) addDir(dir, below string, entries []fs.DirEntry, err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.faults = append(l.faults, fmt.Errorf("reading whitelist folder: %w", err))
	}
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && name[0] != '.' && !strings.HasSuffix(name, "~") {
			l.files = append(l.files, file{filepath.Join(dir, name), below})
		}
	}
}

// How many faults are kept: of one file, and of what Add was given.
const (
	maxFaults = 5
	maxAdded  = 20
)

// Faults returns what could not be read or understood so far. Files and host names add
// theirs during Match. A host name without an address is no fault. Of many the last says how
// many more there are.
func (l *List) Faults() []error {
	faults := slices.Clone(l.faults)
	if l.broken > maxAdded {
		faults = append(faults, fmt.Errorf("and %d more broken whitelist entries", l.broken-maxAdded))
	}
	return faults
}

// Match returns the first entry that covers addr: networks first, then files, then
// host names.
func (l *List) Match(addr netip.Addr) (Match, bool) {
	match, found := l.match(addr.Unmap())
	if v4, translated := translatedFrom(addr); !found && l.Translated && translated {
		match, found = l.match(v4)
	}
	return match, found
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// translatedFrom returns the IPv4 address that addr is another form of.
func translatedFrom(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch {
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixTo4.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

func (l *List) match(addr netip.Addr) (Match, bool) {
	match, found := l.matchNetworks(0, addr)
	if known := len(l.networks); !found {
		l.addHost(addr)
		match, found = l.matchNetworks(known, addr)
	}
	if found {
		return match, true
	}
	hosts := slices.Clone(l.hosts)
	for _, f := range l.files {
		hosts = append(hosts, l.scanFile(f, func(n network) bool {
			if found = n.prefix.Contains(addr); found {
				match = n.match()
			}
			return !found
		})...)
		if found {
			return match, true
		}
	}
	for _, h := range hosts {
		if slices.Contains(l.addresses(h.name), addr) {
			return Match{h.name, h.source}, true
		}
	}
	return Match{}, false
}

// addresses returns those of a host name.
func (l *List) addresses(name string) []netip.Addr {
	if l.Names == nil {
		return nil
	}
	addrs, err := l.Names(name)
	if err != nil {
		l.faults = append(l.faults, err)
	}
	return addrs
}

func (l *List) matchNetworks(from int, addr netip.Addr) (Match, bool) {
	for _, n := range l.networks[from:] {
		if n.prefix.Contains(addr) {
			return n.match(), true
		}
	}
	return Match{}, false
}

// Bounds of what is kept of one file.
const (
	maxLine  = 64 << 10 // bytes
	maxHosts = 1024     // names
)

// byteOrderMark is what some editors begin a file with.
const byteOrderMark = "\ufeff"

// scanFile hands the networks in a file to visit, until it returns false, and returns the
// host names that it met.
func (l *List) scanFile(f file, visit func(network) bool) []host {
	path := f.path
	file, err := f.open()
	if err != nil {
		l.faults = append(l.faults, fmt.Errorf("reading whitelist: %w", err))
		return nil
	}
	defer file.Close()
	var hosts []host
	faults := 0
	broken := func(line int, err error) {
		if faults++; faults <= maxFaults {
			l.faults = append(l.faults, fmt.Errorf("%s:%d: whitelist %w", path, line, err))
		}
	}
	in := io.Reader(file)
	if f.below != "" {
		in = io.LimitReader(file, maxStrangeFile)
		if file.Stat().Size > maxStrangeFile {
			l.faults = append(l.faults,
				fmt.Errorf("whitelist %s has more than %d bytes: the rest does not count", path, maxStrangeFile))
		}
	}
	lines := bufio.NewReaderSize(in, maxLine)
	for n := 1; ; n++ {
		text, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		} else if errors.Is(err, errLongLine) {
			broken(n, err)
			continue
		} else if err != nil {
			l.faults = append(l.faults, fmt.Errorf("reading whitelist %s: %w", path, err))
			break
		}
		if n == 1 {
			text = strings.TrimPrefix(text, byteOrderMark)
		}
		text, _, _ = strings.Cut(text, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		values, bad := parseEntry(text)
		for _, err := range bad { // without the text: a link may have led to a secret
			broken(n, fmt.Errorf("entry: %w", errors.Unwrap(err)))
		}
		for _, v := range values {
			switch {
			case v.host == "":
				if !visit(network{v.prefix, text, path, n}) {
					return nil
				}
			case len(hosts) == maxHosts:
				broken(n, fmt.Errorf("entry: more than %d host names in one file", maxHosts))
			default:
				hosts = append(hosts, host{v.host, fmt.Sprintf("%s:%d", path, n), f.below != ""})
			}
		}
	}
	if faults > maxFaults {
		l.faults = append(l.faults, fmt.Errorf("%s: and %d more broken entries", path, faults-maxFaults))
	}
	return hosts
}

var errLongLine = errors.New("line is longer than 65536 bytes") // maxLine

// readLine returns the next line. One that is too long is skipped with errLongLine.
func readLine(r *bufio.Reader) (string, error) {
	line, more, err := r.ReadLine()
	if !more {
		return string(line), err
	}
	for more && err == nil {
		_, more, err = r.ReadLine()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return "", errLongLine
}

// Entries hands every network to visit, and every host name with the zero prefix.
func (l *List) Entries(visit func(Match, netip.Prefix)) {
	l.addHost(netip.Addr{})
	for _, n := range l.networks {
		visit(n.match(), n.prefix)
	}
	l.eachHost(func(n network) { visit(n.match(), n.prefix) },
		func(h host) { visit(Match{h.name, h.source}, netip.Prefix{}) })
}

// HostNames returns the names of all hosts on the list, each once. Those that strangers may have written are
// the last, for there may be any number of them.
func (l *List) HostNames() []string {
	strange := map[string]bool{}
	l.eachHost(func(network) {}, func(h host) {
		before, known := strange[h.name]
		strange[h.name] = h.strange && (before || !known)
	})
	var names, last []string
	for _, name := range slices.Sorted(maps.Keys(strange)) {
		if strange[name] {
			last = append(last, name)
		} else {
			names = append(names, name)
		}
	}
	return append(names, last...)
}

// eachHost reads all files, hands the networks in them on, and then the names from everywhere.
func (l *List) eachHost(visitNetwork func(network), visit func(host)) {
	hosts := slices.Clone(l.hosts)
	for _, f := range l.files {
		hosts = append(hosts, l.scanFile(f, func(n network) bool {
			visitNetwork(n)
			return true
		})...)
	}
	for _, h := range hosts {
		visit(h)
	}
}
