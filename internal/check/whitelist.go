package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// whiteList looks at who is never blocked.
type whiteList struct{ *host }

// entries looks for entries that OSSEC ignores, that nobody can read, that cover so
// much that nothing is ever blocked, or that are the names of nobody.
func (h whiteList) entries(ctx context.Context) []Finding {
	var found findings
	var all []string   // host names
	var others []named // those outside of ossec.conf
	for _, e := range h.conf.entries {
		_, names := plain(e.text)
		all = append(all, names...)
	}
	entries := len(h.conf.entries)
	each := func(text, place string) {
		entries++
		if err := whitelist.CheckEntry(text); err != nil {
			found.fault("write an address or a network there, or take it out", "%s: %v", place, err)
		} else {
			found = append(found, wide(text, place)...)
		}
		if _, names := plain(text); len(names) > 0 {
			all = append(all, names...)
			others = append(others, named{names, place})
		}
	}
	for _, text := range h.Settings.Whitelist.Entries {
		each(text, h.Home.Settings()+": whitelist.entries")
	}
	for _, path := range h.whitelistFiles() {
		if err := eachLine(path, each); err != nil {
			found.fault("make it a plain file that root can read, or take it out of whitelist.files", "%v",
				err)
		}
	}
	dead, known := h.hostNames(ctx, all)
	var inConf []Finding
	for _, e := range h.conf.entries {
		inConf = append(inConf, h.confEntry(e, dead)...)
	}
	found = append(inConf, found...)
	for _, n := range others {
		found = append(found, n.nobody(dead)...)
	}
	if entries == 0 {
		found = append(found, ok("none beside what is built in"))
	}
	return append(orOK(found, "entries that count, beside what is built in: %d", entries), known...)
}

func (h whiteList) whitelistFiles() []string {
	files := append([]string{}, h.Settings.Whitelist.Files...)
	inFolder, _ := os.ReadDir(h.Home.Whitelists()) // a missing folder is an empty one
	for _, e := range inFolder {
		if name := e.Name(); !e.IsDir() && name[0] != '.' && !strings.HasSuffix(name, "~") {
			files = append(files, filepath.Join(h.Home.Whitelists(), name))
		}
	}
	return files
}

// eachLine hands on the entries of a file, in which # begins a comment.
func eachLine(path string, each func(text, place string)) error {
	file, err := state.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "\ufeff"), "#")
		if text = strings.TrimSpace(text); text != "" {
			each(text, fmt.Sprintf("%s:%d", path, n))
		}
	}
	return lines.Err()
}

// confEntry looks at one entry of ossec.conf, which OSSEC reads by rules of its own.
func (h whiteList) confEntry(e entry, dead map[string]error) []Finding {
	place := h.conf.at(e.line)
	if e.text == "" {
		return []Finding{warn("write an address there, or take it out", "%s: an empty <%s>", place, e.name)}
	}
	err := whitelist.CheckEntry(e.text)
	networks, names := plain(e.text)
	mend := fmt.Sprintf("write in %s, one to each <%s>: %s", place, e.name, some(networks))
	switch {
	case strings.HasPrefix(e.text, "!"):
		return []Finding{warn("take it out, and list what is not to be blocked only",
			"%s: the entry %s: neither OSSEC nor this suite knows exceptions with !", place, quote(e.text))}
	case err != nil && len(networks) > 0:
		return []Finding{fault(mend, "%s: the entry %s is ignored, by OSSEC and by this suite", place,
			quote(e.text))}
	case err != nil:
		return []Finding{fault("write an address or a network such as 10.0.0.0/8 there", "%s: %v", place,
			err)}
	}
	found := append(wide(e.text, place), named{names, place}.nobody(dead)...)
	switch {
	case h.conf.agent():
		return found // there only this suite reads it
	case !e.global:
		return append(found, warn("move it into <global>",
			"%s: the entry %s is not in <global>, so that OSSEC itself does not read it", place,
			quote(e.text)))
	case ossecReads(e.text), asInstalled(e.text):
		return found
	case slices.ContainsFunc(names, func(name string) bool { return dead[name] != nil }):
		return found // what mends that mends also that OSSEC ignores it
	case len(names) > 0:
		mend = "write its addresses there"
	}
	return append(found,
		warn(mend, "%s: OSSEC itself takes %s for a host name and so ignores it; the responses of this suite honour it",
			place, quote(e.text)))
}

// unanchor takes away what may stand around a sound entry: ^ and $, and backslashes.
var unanchor = strings.NewReplacer("^", "", "$", "", `\`, "")

// asInstalled reports whether it is the entry that stands in every ossec.conf that OSSEC
// (localhost.localdomain) or Wazuh (^localhost.localdomain$) was installed with.
func asInstalled(text string) bool { return unanchor.Replace(text) == "localhost.localdomain" }

// ossecReads reports whether OSSEC applies an entry: one address or network, with the
// number of bits.
func ossecReads(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	_, err := netip.ParsePrefix(text)
	return err == nil
}

// plain writes an entry as OSSEC takes it, but for the host names in it.
func plain(text string) (networks, names []string) {
	for piece := range strings.SplitSeq(text, ",") {
		piece = strings.TrimSpace(piece)
		if whitelist.CheckEntry(piece) == nil {
			piece = unanchor.Replace(piece)
		}
		left, right, _ := strings.Cut(piece, "/")
		mask, maskErr := netip.ParseAddr(right)
		switch {
		case ossecReads(piece):
			networks = append(networks, piece)
		case piece == "localhost", piece == "localhost.localdomain":
			networks = append(networks, "127.0.0.1", "::1")
		case maskErr == nil && mask.Is4() && whitelist.CheckEntry(piece) == nil:
			networks = append(networks, fmt.Sprintf("%s/%d", left, ones(mask)))
		default:
			if network, ok := fromPattern(piece); ok {
				networks = append(networks, network)
			} else if whitelist.CheckEntry(piece) == nil {
				names = append(names, piece)
			}
		}
	}
	return networks, names
}

func ones(mask netip.Addr) int {
	n := 0
	for _, b := range mask.As4() {
		for ; b != 0; b <<= 1 {
			n += int(b >> 7)
		}
	}
	return n
}

// fromPattern reads 10.0.* and ^10\.0\. as the network that they mean.
func fromPattern(text string) (string, bool) {
	starred := strings.HasSuffix(text, "*")
	pattern, anchored := strings.CutPrefix(text, "^")
	pattern = strings.TrimRight(strings.ReplaceAll(pattern, `\`, ""), ".*")
	if !starred && !anchored {
		return "", false
	}
	parts := strings.Split(pattern, ".")
	bits := 8 * len(parts)
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	for _, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 8); err != nil {
			return "", false
		}
	}
	network := fmt.Sprintf("%s/%d", strings.Join(parts, "."), bits)
	_, err := netip.ParsePrefix(network)
	return network, err == nil
}

// Networks of fewer bits cover more than one owner's addresses.
const (
	wideBits4 = 8
	wideBits6 = 16
)

// wide reports an entry that covers everything, or very much.
func wide(text, place string) []Finding {
	networks, _ := plain(text)
	for _, network := range networks {
		p, err := netip.ParsePrefix(network)
		switch {
		case err != nil:
		case p.Bits() == 0:
			return []Finding{fault("take it out",
				"%s: the entry %s covers every address: nothing is ever blocked", place, quote(text))}
		case p.Addr().Is4() && p.Bits() < wideBits4, p.Addr().Is6() && p.Bits() < wideBits6:
			return []Finding{warn("list the networks that are meant",
				"%s: the entry %s covers a large part of all addresses", place, quote(text))}
		}
	}
	return nil
}

// ownAddresses checks whether the host could block itself.
func (h whiteList) ownAddresses(ctx context.Context) []Finding {
	own, err := h.addresses()
	if err != nil {
		return []Finding{fault("try again", "reading the host's own addresses: %v", err)}
	}
	list, err := neverblock.List(h.Home, h.Settings.Whitelist, h.Now())
	var found findings
	if err != nil && !errors.Is(err, os.ErrNotExist) && !h.conf.unread {
		found.fault("see ossec.conf above", "%v", err)
	}
	for _, addr := range own {
		if _, covered := list.Match(addr); !covered {
			found.warn("set own_addresses = true in [whitelist] of "+h.Home.Settings(),
				"%s, an address of this host, is not covered by the whitelist: an alert that names it cuts the host off from itself", addr)
		}
	}
	return orOK(found, "%s, all covered by the whitelist", count(len(own), "address"))
}
