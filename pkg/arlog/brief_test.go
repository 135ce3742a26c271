package arlog_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// checkBrief compares with Parse. What Brief refuses is Parse's to read.
func checkBrief(t *testing.T, p *arlog.Parser, line []byte) (accepted bool) {
	t.Helper()
	var f arlog.Fields
	err := p.Parse(line, &f) // and makes hour and program known
	var b arlog.Brief
	text := append(bytes.Clone(line), "\n"+strings.Repeat("Mon Nov 23 03:27:57 UTC 2026 the next line\n", 10)...)
	if !p.Brief(text, &b) {
		return false
	}
	addr, ok := b.Addr.Addr()
	if b.Six {
		addr, ok = netip.AddrFrom16(b.Addr6), true
	}
	if !ok { // a line without an address
		f.RuleID = nil
		if f.Step != arlog.NoAddress || err == nil {
			t.Errorf("%q\nin brief there is no address in it, else %v %+v", line, err, f.Entry())
		}
		addr, b.Rule = netip.Addr{}, [8]byte{}
	}
	rule := string(bytes.TrimRight(b.Rule[:], "\x00"))
	if rule == "-" {
		rule = ""
	}
	if b.Unix != f.Unix || addr != f.Addr || ok && (b.Delete != (f.Status == arlog.StatusDelete) || !b.Delete && f.Status != arlog.StatusAdd) ||
		string(p.Program(b.Program)) != string(f.Program) || rule != string(f.RuleID) || b.End != len(line) {
		t.Errorf("%q\nin brief %+v\nelse %v %+v", line, b, err, f.Entry())
	}
	return true
}

func TestBrief(t *testing.T) {
	p := arlog.Parser{Location: time.UTC}
	for _, test := range []struct {
		line string
		want bool
	}{
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "firewall-drop.sh add - 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)", true},
		{"Mon Nov 23 03:27:57 CEST 2026 " + bin + "host-deny delete - 203.0.113.7 - - - Unblocked IP: 203.0.113.7", true},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x skip - 203.0.113.7 1304756247.60385 5712 - Skipped IP: 203.0.113.7: whitelisted", false},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 2001:db8::7 1304756247.60385 5712 - Blocked IP: 2001:db8::7 (Rule: 5712)", true},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 2001:db8:1111:2222:3333:4444:5555:6666 1304756247.60385 5712 - Blocked", true},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - ::ffff:203.0.113.7 1304756247.60385 5712 - Blocked", false},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - ::ffff:2:3 1304756247.60385 5712 - Blocked", false},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add root 203.0.113.7 1304756247.60385 5712 - Blocked IP: 203.0.113.7", false},
		{"Mon Nov 23 03:27:57 UTC 2026", false},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 203.0.113.256 1304756247.60385 5712", true},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 1.2.3.4 1304756247.60385 123456789", false},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 203.0.113.7 1304756247.60385 5712", true},
		{"Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 203.0.113.7 1304756247.60385", false},
	} {
		if got := checkBrief(t, &p, []byte(test.line)); got != test.want {
			t.Errorf("%q: %v", test.line, got)
		}
	}
}

// Lines like real ones, changed here and there, are read as Parse reads them.
func TestBriefMutated(t *testing.T) {
	const alphabet = "0123456789.. -:/{}\t\x00\x01\x7f\xff\xb0abcxyz"
	random := rand.New(rand.NewPCG(1, 2))
	p := arlog.Parser{Location: time.UTC}
	programs := []string{bin + "firewall-drop.sh", bin + "firewall-drop", bin + "host-deny.sh", "/opt/ossec/active-response/bin/custom-firewall-drop.sh", "pf"}
	zones := []string{"UTC", "CEST", "A", "ABCDEFGHIJKLMN"}
	accepted := 0
	for i := range 200_000 {
		v := random.Uint32()
		addr := netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16 & 127), byte(v >> 8 & 15), byte(v)})
		if v>>24 == 7 {
			addr = netip.AddrFrom16([16]byte{0x20, 1, byte(v >> 8), 9: byte(v), 15: byte(v >> 16)})
		}
		rule := fmt.Sprint(random.IntN(120_000))
		word, message := "add", "Blocked"
		if v&1 == 1 {
			word, message = "delete", "Unblocked"
		}
		line := fmt.Appendf(nil, "Mon Nov 23 %02d:%02d:%02d %s 2026 %s %s - %s %d.%d %s - %s IP: %s (Rule: %s)", i/20_000, random.IntN(60), random.IntN(61),
			zones[random.IntN(len(zones))], programs[random.IntN(len(programs))], word, addr, 1_795_404_477+i, random.IntN(1e7), rule, message, addr, rule)
		for range random.IntN(3) {
			at := random.IntN(len(line))
			switch random.IntN(3) {
			case 0:
				line[at] = alphabet[random.IntN(len(alphabet))]
			case 1:
				line = slices.Delete(line, at, min(at+1+random.IntN(4), len(line)))
			case 2:
				line = slices.Insert(line, at, alphabet[random.IntN(len(alphabet))])
			}
		}
		if bytes.HasPrefix(line, []byte{0}) {
			continue // Parse leaves it out, Brief does not know it
		}
		if checkBrief(t, &p, line) {
			accepted++
		}
		if t.Failed() {
			return
		}
	}
	if accepted < 50_000 {
		t.Errorf("only %d lines were read in brief", accepted)
	}
}

func FuzzBrief(f *testing.F) {
	f.Add([]byte("Mon Nov 23 03:27:57 UTC 2026 " + bin + "x add - 192.0.2.1 1304756247.60385 5712 - Blocked IP: 192.0.2.1"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsAny(line, "\r\n") || bytes.HasPrefix(line, []byte{0}) {
			return
		}
		checkBrief(t, &arlog.Parser{Location: time.UTC}, line)
	})
}
