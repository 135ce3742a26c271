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
