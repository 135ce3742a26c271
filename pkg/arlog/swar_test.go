package arlog

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// checkAddr4 compares with netip. What parseAddr4 refuses is read by netip.
func checkAddr4(t *testing.T, text []byte) {
	t.Helper()
	before, _, _ := bytes.Cut(text, []byte(" "))
	want, err := netip.ParseAddr(string(before))
	four, n, ok := parseAddr4(text)
	quad := [4]byte{byte(four >> 24), byte(four >> 16), byte(four >> 8), byte(four)}
	switch {
	case ok && (err != nil || netip.AddrFrom4(quad) != want || n != len(before)+1):
		t.Fatalf("%q: %v and %d bytes, netip: %v %v", text, quad, n, want, err)
	case !ok && err == nil && want.Is4() && len(text) >= 20 && !bytes.ContainsFunc(text[:16], func(r rune) bool { return r > 0x7f }):
		t.Fatalf("%q: refused", text)
	}
}

func TestParseAddr4(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "0123456789012345678901234567890125....  /:;-a\x00\xff\xb0"
	for range 300_000 {
		v := random.Uint32()
		shift := random.IntN(32)
		text := append(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> shift), byte(v) >> (shift & 7)}).AppendTo(nil), " 1.2 5712 and more"...)
		checkAddr4(t, text)
		text[random.IntN(16)] = alphabet[random.IntN(len(alphabet))]
		checkAddr4(t, text)
	}
}

func FuzzParseAddr4(f *testing.F) {
	f.Add([]byte("203.0.113.7 1304756247.60385 5712"))
	f.Fuzz(func(t *testing.T, text []byte) { checkAddr4(t, text) })
}

// checkAddr6 compares with netip, which reads what parseAddr6 leaves.
func checkAddr6(t *testing.T, text []byte) {
	t.Helper()
	want, err := netip.ParseAddr(string(text))
	got, ok := parseAddr6(text)
	switch {
	case ok && (err != nil || netip.AddrFrom16(got) != want):
		t.Fatalf("%q: %v, netip: %v %v", text, netip.AddrFrom16(got), want, err)
	case !ok && err == nil && want.Is6() && !bytes.ContainsAny(text, ".%"):
		t.Fatalf("%q: refused", text)
	}
}

func TestParseAddr6(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "0123456789abcdefABCDEFg:::::::::.% \x00\xff"
	for range 300_000 {
		var b [16]byte
		for i := range b {
			b[i] = byte(random.Uint32()) & byte(-int(random.Uint32()&1)) // many zeros
		}
		text := netip.AddrFrom16(b).AppendTo(nil)
		if random.Uint32()&1 == 0 {
			text = []byte(netip.AddrFrom16(b).StringExpanded())
		}
		checkAddr6(t, text)
		text[random.IntN(len(text))] = alphabet[random.IntN(len(alphabet))]
		checkAddr6(t, text)
		at := random.IntN(len(text))
		text = append(text[:at], text[min(len(text), at+1+random.IntN(3)):]...)
		checkAddr6(t, text)
	}
}

func FuzzParseAddr6(f *testing.F) {
	for _, text := range []string{"::", "::1", "2001:db8::1", "1:2:3:4:5:6:7:8", "1::2::3", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::ffff:1.2.3.4", "fe80::1%x", "1:", ":1", ":::", "12345::"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkAddr6(t, text) })
}

func FuzzWord(f *testing.F) {
	f.Add([]byte("a b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, rest := word(text)
		wantFirst, wantRest, _ := bytes.Cut(text, []byte(" "))
		if !bytes.Equal(first, wantFirst) || !bytes.Equal(rest, wantRest) {
			t.Errorf("%q: %q and %q", text, first, rest)
		}
	})
}
