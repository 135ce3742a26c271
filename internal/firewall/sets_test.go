package firewall

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// What needs a kernel is in e2e/kernel.

func TestNewRefuses(t *testing.T) {
	for _, opts := range []Options{{Backend: "pf"}, {MaxRules: -1}, {MaxAddresses: -1}} {
		if e, err := New(opts); err == nil {
			t.Errorf("New(%+v) = %+v, want an error", opts, e)
		}
	}
}

func TestDescribe(t *testing.T) {
	dir := tools(t, "iptables", "ip6tables")
	v6 := netip.MustParseAddr("2001:db8::7")
	for backend, want := range map[string]string{
		Auto:     "ip6tables -A OSSEC_AR -s 2001:db8::7 -j DROP",
		IPTables: "ip6tables -A OSSEC_AR -s 2001:db8::7 -j DROP",
		IPSet:    "ipset add ossec_ar6 2001:db8::7",
		NFTables: "nft add element inet ossec_ar blocked6 { 2001:db8::7 }",
	} {
		e := enforcerOn(dir, func(o *Options) { o.Backend = backend })
		if got := e.Describe(v6); got != want {
			t.Errorf("%s: got %q, want %q", backend, got, want)
		}
	}
}

// TestDropRule: what is written for a rule is read as that rule.
func TestDropRule(t *testing.T) {
	for _, addr := range []netip.Addr{addr, netip.MustParseAddr("2001:db8::7")} {
		var r requests
		iptablesTable(addr.Is6()).dropRule(&r, addr)
		r.finish()
		expressions := find(r.bytes[unix.NLMSG_HDRLEN+4:], unix.NFTA_RULE_EXPRESSIONS)
		rule := readRule(expressions, iptablesTable(addr.Is6()).family)
		if !rule.blocks() || rule.source != addr || rule.verdict != "DROP" {
			t.Errorf("got %+v, want a rule that drops %s", rule, addr)
		}
	}
}

// FuzzKernelAnswers: whatever the kernel of another version or architecture says, reading
// it ends, and in no crash.
func FuzzKernelAnswers(f *testing.F) {
	var r requests
	iptablesTable(false).dropRule(&r, addr)
	r.finish()
	f.Add(r.bytes, false)
	f.Add(find(r.bytes[unix.NLMSG_HDRLEN+4:], unix.NFTA_RULE_EXPRESSIONS), true)
	layout := legacyLayoutOf(false)
	entry := make([]byte, layout.elements+legacyHeadSize+8)
	binary.NativeEndian.PutUint16(entry[layout.targetAt:], uint16(layout.elements))
	binary.NativeEndian.PutUint16(entry[layout.nextAt:], uint16(len(entry)))
	f.Add(entry, false)
	f.Fuzz(func(t *testing.T, data []byte, v6 bool) {
		readRule(data, iptablesTable(v6).family)
		appendElements(nil, data)
		table := &legacyTable{legacyLayout: legacyLayoutOf(v6), entries: data}
		_ = table.each(func(_ int, entry []byte) {
			table.chainName(entry)
			table.rule(entry, nil)
		})
	})
}
