package check

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// whiteList looks at who is never blocked.
type whiteList struct{ *host }

// entries looks for entries that OSSEC ignores, that nobody can read, that cover so
// much that nothing is ever blocked, or that are the names of nobody.
func (h whiteList) entries(ctx context.Context, s *sheet) {
	configured := h.Settings.Whitelist
	all, _ := neverblock.List(h.Home, config.Whitelist{ // without what is built in
		Manager: configured.Manager, Entries: configured.Entries, Strange: configured.Strange,
		Files: configured.Files}, h.Now())
	entries, last := 0, whitelist.Match{}
	names := map[string][]string{} // and where they stand
	all.Entries(func(m whitelist.Match, p netip.Prefix) {
		if !p.IsValid() {
			names[m.Entry] = append(names[m.Entry], m.Source)
		} else {
			wide(s, m, p)
		}
		if m != last { // one of several networks
			entries++
		}
		last = m
	})
	for _, err := range all.Faults() {
		mend, unread := "take out what is broken there, or too much", new(fs.PathError)
		switch {
		case errors.Is(err, whitelist.ErrBadEntry):
			mend = "write an address or a network such as 10.0.0.0/8 there, or take it out"
		case errors.As(err, &unread), errors.Is(err, state.ErrNotPlain):
			mend = toRead("it", err) + ", or take it out of whitelist.files"
		}
		s.fault(mend, "%v", err)
	}
	s.ok("entries that count, beside what is built in: %d", entries)
	dead := h.hostNames(ctx, s, names)
	for _, e := range h.conf.entries {
		h.daemonReads(s, e, dead)
	}
}

// daemonReads looks at what OSSEC or Wazuh itself makes of an entry that counts here.
func (h whiteList) daemonReads(s *sheet, e entry, dead map[string]bool) {
	place := h.conf.at(e.line)
	var list whitelist.List
	broken := list.Add(e.text, place) != nil
	var networks []string
	list.Entries(func(_ whitelist.Match, p netip.Prefix) {
		if p.IsValid() {
			networks = append(networks, strings.TrimSuffix(strings.TrimSuffix(p.String(), "/32"), "/128"))
		}
	})
	mend := "write its addresses there"
	if len(networks) > 0 {
		mend = "write in " + place + ", one to each <" + e.name + ">: " + some(networks)
	}
	switch {
	case e.text == "":
		s.warn("write an address there, or take it out", "%s: an empty <%s>", place, e.name)
	case broken, h.conf.agent(): // entries reports it; only this suite reads it
	case !e.global:
		s.warn("move it into <global>",
			"%s: the entry %s is not in <global>, so that OSSEC itself does not read it", place,
			quote(e.text))
	case slices.ContainsFunc(list.HostNames(), func(name string) bool { return dead[name] }): // reported
	case strings.Contains(e.text, "localhost.localdomain"): // as OSSEC and Wazuh are installed
	case h.Home.Wazuh() && !wazuhReads(e.text):
		s.warn(mend, "%s: Wazuh itself takes %s for the text of an address, which none has; "+
			"the responses of this suite honour it", place, quote(e.text))
	case !h.Home.Wazuh() && !ossecReads(e.text):
		s.warn(mend, "%s: OSSEC itself takes %s for a host name and so ignores it; "+
			"the responses of this suite honour it", place, quote(e.text))
	}
}

// ossecReads reports whether OSSEC applies an entry: one address or network, with the
// number of bits.
func ossecReads(text string) bool {
	_, err := netip.ParseAddr(text)
	_, networkErr := netip.ParsePrefix(text)
	return err == nil || networkErr == nil
}

// wazuhReads reports whether Wazuh applies an entry that counts here: a mask may also be dotted, and
// what is no network is a pattern of the address's text (OSMatch), in which only ^, $ and | mean
// something.
func wazuhReads(text string) bool {
	address, mask, _ := strings.Cut(text, "/")
	return ossecReads(text) || ossecReads(address) && ossecReads(mask) ||
		strings.HasPrefix(text, "^") && strings.Trim(text, "^$|.0123456789") == ""
}

// Networks of fewer bits cover more than one owner's addresses.
const (
	wideBits4 = 8
	wideBits6 = 16
)

// wide reports an entry that covers everything, or very much.
func wide(s *sheet, m whitelist.Match, p netip.Prefix) {
	switch {
	case p.Bits() == 0:
		s.fault("take it out", "%s: the entry %s covers every address: nothing is ever blocked", m.Source,
			quote(m.Entry))
	case p.Addr().Is4() && p.Bits() < wideBits4, p.Addr().Is6() && p.Bits() < wideBits6:
		s.warn("list the networks that are meant", "%s: the entry %s covers a large part of all addresses",
			m.Source, quote(m.Entry))
	}
}

// hostNames asks for names, in the time that maintain has for that. It says how old what is known of
// them is, and returns those that protect nobody.
func (h whiteList) hostNames(ctx context.Context, s *sheet, places map[string][]string) map[string]bool {
	names := slices.Sorted(maps.Keys(places))
	remembered, err := neverblock.Names(h.Home)
	if err != nil && state.CheckDir(h.Home.State()) == nil { // else the leases' check says it
		s.warn("remove it: maintain makes it anew", "%v", err)
	}
	answers := slices.Repeat([]neverblock.Answer{{Err: errors.New("resolve_names is false")}}, len(names))
	if h.Settings.Whitelist.ResolveNames {
		answers = neverblock.Ask(ctx, h.Resolver, names, h.Settings.Whitelist.ResolveTimeout.Duration)
	} else {
		remembered = nil
	}
	dead := map[string]bool{}
	for i, name := range names {
		place, n, a := some(places[name]), remembered[name], answers[i]
		counts := n.At(h.Now())
		ago := "never asked for before"
		if !n.Answered.IsZero() {
			ago = "as answered " + h.Now().Sub(n.Answered).Round(time.Second).String() + " ago"
		}
		dead[name] = len(counts) == 0
		switch {
		case len(counts) == 0 && len(a.Addrs) > 0:
			s.warn(h.tool("whitelist refresh"),
				"%s: the host name %s is %s now, and protects nobody until that is remembered (%s)",
				place, quote(name), list(a.Addrs), ago)
		case len(counts) == 0:
			s.warn("write its addresses there",
				"%s: the host name %s has no address now, and so protects nobody: %v", place, quote(name),
				cmp.Or(a.Err, errors.New("the name server knows none")))
		case a.Err != nil:
			s.warn("look after the name server", "the host name %s gets no answer (%v); %s counts, %s",
				quote(name), a.Err, list(counts), ago)
		default:
			s.add(ok("the host name %s is %s, %s", quote(name), list(counts), ago))
		}
	}
	return dead
}

// ownAddresses checks whether the host could block itself.
func (h whiteList) ownAddresses(_ context.Context, s *sheet) {
	own, err := h.addresses()
	if err != nil {
		s.fault("try again", "reading the host's own addresses: %v", err)
		return
	}
	never, err := neverblock.List(h.Home, h.Settings.Whitelist, h.Now())
	if err != nil && !errors.Is(err, os.ErrNotExist) && !h.conf.unread {
		s.fault("see ossec.conf above", "%v", err)
	}
	for _, addr := range own {
		if _, covered := never.Match(addr); !covered {
			s.warn("set own_addresses = true in [whitelist] of "+h.Home.Settings(),
				"%s, an address of this host, is not covered by the whitelist: an alert that names it cuts "+
					"the host off from itself", addr)
		}
	}
	s.ok("all covered by the whitelist: %s", list(own))
}
