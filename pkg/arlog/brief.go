package arlog

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// This file reads the lines that nearly all of a log consists of, in OSSEC's dialect, add
// or delete, with an IPv4 address, and as an aside IPv6:
//
//	Mon Nov 23 03:27:57 UTC 2026 /var/ossec/active-response/bin/host-deny.sh add - 203.0.113.7 1304756247.60385 5712 - ...
//	|left..|    |minutes|        |known program                          |status|address   |alert           |rule|
//
// It reads by comparing with what was there before rather than by looking at each byte:
// the hour, the zone and the program are among the few that Parse has read already, which
// leaves minute and second, one of two status words, and three words whose ends are found
// together in one mask of 40 bits. The address stays the text that it is, and a rule id
// too: whoever counts them needs their number only once for each.
//
// Whatever is not just so is left to Parse, whose results these are without exception.

// Brief is the most common kind of line, in numbers alone.
type Brief struct {
	Unix   int64 // seconds
	Delete bool  // else add
	// Program is the program's path, by the number of Parser.Program.
	Program int
	// Addr is the address if Six is false. It looks like one, but may be none: then Parse
	// says NoAddress.
	Addr AddrText
	Six  bool
	// Addr6 is the address if Six is true.
	Addr6 [16]byte
	// Rule is the rule id, padded with zeros to eight bytes as they stand in memory.
	Rule [8]byte
	End  int // where the newline is
}

// AddrText is an IPv4 address as it is written, padded with zeros to sixteen bytes. Low
// are the first eight of them, little-endian.
type AddrText struct{ Low, High uint64 }

// TextOf returns the text of an IPv4 address.
func TextOf(addr netip.Addr) AddrText {
	var b [16]byte
	addr.AppendTo(b[:0])
	return AddrText{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// Addr returns the address, if it is one.
func (a AddrText) Addr() (netip.Addr, bool) {
	length := 16 - bits.LeadingZeros64(a.High)/8
	if a.High == 0 {
		length = 8 - bits.LeadingZeros64(a.Low)/8
	}
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], a.Low)
	binary.LittleEndian.PutUint64(b[8:], a.High)
	b[length] = ' '
	four, n, ok := parseAddr4(b[:])
	return addrFrom4(four), ok && n == length+1
}

// Rule ids are as long as [8]byte at most, addresses seven to fifteen bytes.
const (
	maxBriefRule = 8
	minAddr4     = len("1.2.3.4")
	maxAddr4     = len("255.255.255.255")
)

// The status words with the blanks around them: "add - " in one word, " delete - " in two
// that overlap.
var (
	addBytes     = load(" add - ")
	deleteBytes  = load(" delete ")
	deleteBytes2 = load("lete - ")
)

const sevenBytes = 1<<56 - 1

// load returns a word of up to eight bytes as it stands in memory.
func load(word string) (x uint64) {
	for i := range len(word) {
		x |= uint64(word[i]) << (8 * i)
	}
	return x
}

// opening is the text from the beginning of a line on: more than is looked at without
// asking whether it is there, which is stamp, program and status, less than 256 bytes
// together, and the words.
type opening [256 + len(stretch{})]byte

// stretch is a part of an opening.
type stretch [48]byte

// from returns what stands from at on, which is less than 256: the mask spares the checks.
func (o *opening) from(at int) *stretch { return (*stretch)(o[at&0xff:]) }

func (o *opening) word(at int) uint64 { return o.from(at).word(0) }

// word returns the eight bytes from at on.
func (s *stretch) word(at int) uint64 { return binary.LittleEndian.Uint64(s[at:]) }

// Brief reads the line that the text begins with, in a quarter of the time that Parse
// takes; other lines follow. It reports false for a line of another kind, for one at the
// end of the text, and for one whose hour or program is new: Parse reads those.
func (p *Parser) Brief(text []byte, b *Brief) bool {
	if len(text) < len(opening{}) {
		return false
	}
	o := (*opening)(text)
	at, ok := p.briefStamp(o, b)
	if !ok {
		return false
	}
	if b.Program, at, ok = p.known.find(o, at); !ok {
		return false
	}

	// Add or delete is as good as a coin toss to the processor's guesses: no branches.
	differ := o.word(at) ^ deleteBytes
	deleted := (differ - 1) &^ differ >> 63 // 1 if nothing differs
	more := int(deleted) * (len("delete") - len("add"))
	if o.word(at+more)&sevenBytes != addBytes^(addBytes^deleteBytes2)*deleted {
		return false
	}
	b.Delete = deleted != 0
	at += more + len(" add - ")

	const wordsLen = 40 // of the three words with the blanks behind them: mostly less
	words := o.from(at)
	w0, w1, w2, w3, w4 := words.word(0), words.word(8), words.word(16), words.word(24), words.word(32)
	ends := ^(printed(w0) | printed(w1)<<8 | printed(w2)<<16 | printed(w3)<<24 | printed(w4)<<32)
	addrEnd := bits.TrailingZeros64(ends)
	ends &= ends - 1
	alertEnd := bits.TrailingZeros64(ends)
	ends &= ends - 1
	ruleEnd := bits.TrailingZeros64(ends)
	ruleLen := ruleEnd - alertEnd - 1
	if (w0|w1|w2|w3|w4)&highs != 0 || addrEnd < minAddr4 || addrEnd > maxAddr4 || ruleLen < 1 || ruleLen > maxBriefRule ||
		ruleEnd >= wordsLen || words[addrEnd] != ' ' || words[alertEnd] != ' ' || words[ruleEnd] != ' ' && words[ruleEnd] != '\n' {
		return b.readLonger(text, at)
	}
	b.Addr, b.Six = cut(w0, w1, addrEnd), false
	if ((b.Addr.Low+over9)|(b.Addr.High+over9))&highs != 0 {
		return b.readLonger(text, at)
	}
	b.setRule(o.word(at+alertEnd+1), ruleLen)
	at += ruleEnd
	length, ok := o.from(at).line()
	if b.End = at + length; ok {
		return true
	}
	return b.readEnd(text, at)
}

// setRule takes the rule from the first bytes of a word.
func (b *Brief) setRule(text uint64, length int) {
	binary.LittleEndian.PutUint64(b.Rule[:], text&(1<<(8*length)-1))
}

// line returns how much of the line that ends here is left. It may not know.
func (s *stretch) line() (length int, ok bool) {
	w0, w1, w2, w3, w4, w5 := s.word(0), s.word(8), s.word(16), s.word(24), s.word(32), s.word(40)
	// Bit 8i+j is of byte i of word j: is it one that is printed?
	const add, all = (0x80 - ' ') * ones, (1<<6 - 1) * ones
	printed := (w0+add)&highs>>7 | (w1+add)&highs>>6 | (w2+add)&highs>>5 | (w3+add)&highs>>4 | (w4+add)&highs>>3 | (w5+add)&highs>>2
	others := printed ^ all
	length = bits.TrailingZeros64(others)
	length = length>>3 | length&7<<3
	return length, (w0|w1|w2|w3|w4|w5)&highs == 0 && others&(others-1) == 0 && others != 0 && s[length] == '\n'
}

// readEnd finds the end of a line that is longer, or has other bytes than ASCII.
func (b *Brief) readEnd(text []byte, at int) bool {
	end := bytes.IndexByte(text[at:], '\n')
	b.End = at + end
	return end >= 0
}

// readLonger reads the words if they are longer, or the address is an IPv6 one.
func (b *Brief) readLonger(text []byte, at int) bool {
	addrEnd, ok := blank(text, at)
	if !ok {
		return false
	}
	switch b.Addr6, b.Six = parseAddr6(text[at:addrEnd]); {
	case b.Six && netip.AddrFrom16(b.Addr6).Is4In6():
		return false
	case !b.Six:
		four, n, ok := parseAddr4(text[at:])
		if !ok || n != addrEnd+1-at {
			return false
		}
		b.Addr = TextOf(addrFrom4(four))
	}
	alertEnd, ok := blank(text, addrEnd+1)
	if !ok {
		return false
	}
	ruleEnd, ok := wordEnd(text, alertEnd+1)
	length := ruleEnd - alertEnd - 1
	if !ok || length > maxBriefRule || text[ruleEnd] != ' ' && text[ruleEnd] != '\n' {
		return false
	}
	b.setRule(binary.LittleEndian.Uint64(text[alertEnd+1:]), length)
	return b.readEnd(text, ruleEnd)
}

// blank finds the blank that ends the word that begins at from.
func blank(s []byte, from int) (int, bool) {
	end, ok := wordEnd(s, from)
	return end, ok && s[end] == ' '
}

// wordEnd finds the first blank or control character, if eight bytes can be read up to
// there.
func wordEnd(s []byte, from int) (int, bool) {
	for ; from+8 <= len(s); from += 8 {
		if m := blanks(binary.LittleEndian.Uint64(s[from:])); m != 0 {
			return from + bits.TrailingZeros64(m), true
		}
	}
	return 0, false
}

// briefStamp reads the time, and returns where the program begins.
func (p *Parser) briefStamp(o *opening, b *Brief) (at int, ok bool) {
	const clockAt, tailAt = headLen, headLen + clockLen
	h := &p.hours[p.recent&(len(p.hours)-1)] // a power of two: it needs no check
	tailEnd := tailAt + len(h.tail)
	if o.word(0) != h.left || o.word(headLen-8) != h.right || !h.brief || o.word(tailAt) != h.tailLeft || o.word(tailEnd-8) != h.tailRight {
		return 0, false
	}
	// Five bytes of digits less '0', and of the colon less itself: those that are too high
	// reach a highest bit when what is missing to it is added.
	const fiveBytes, digits, missing, highest = 1<<40 - 1, 0x30303a3030, 0x76797f767a, 0x8080808080
	clock := o.word(clockAt)&fiveBytes ^ digits
	pairs := clock*10 + clock>>8 // the first and the fourth byte are minute and second
	second := pairs >> 24 & 0xff
	b.Unix = h.start + int64(pairs&0xff*60+second)
	return tailEnd, ((clock+missing)|clock)&highest == 0 && second <= 60
}

// cut returns the first n bytes of two words, seven to fifteen.
func cut(low, high uint64, n int) AddrText {
	if n < 8 {
		return AddrText{low & sevenBytes, 0}
	}
	return AddrText{low, high & (1<<(8*(n-8)) - 1)}
}

// blanks has a bit for each byte of x that is a blank or a control character.
func blanks(x uint64) uint64 {
	const above = (' ' + 1) * ones
	return movemask(^((x | highs) - above) & ^x & highs)
}

// printed has a bit for each byte of x that is no blank and no control character. No byte
// has its highest bit.
func printed(x uint64) uint64 {
	return (x + (0x7f-' ')*ones) & highs * (0x0102040810204080 >> 7) >> 56
}

// over9, added to bytes, lets those that are more than '9' reach their highest bit.
const over9 = (0x7f - '9') * ones
