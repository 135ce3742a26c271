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

// wordsLen is how long the three words with the blanks behind them are at most, mostly.
const wordsLen = 40

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

// briefRoom is how much there must be from the beginning of a line on, in bytes: all that
// is looked at without asking for more.
const briefRoom = headLen + clockLen + maxTail + maxProgram + len(" delete - ") + wordsLen + 8

// Brief reads the line that the text begins with, in a quarter of the time that Parse
// takes; other lines follow. It reports false for a line of another kind, for one at the
// end of the text, and for one whose hour or program is new: Parse reads those.
func (p *Parser) Brief(text []byte, b *Brief) bool {
	if len(text) < briefRoom {
		return false
	}
	at, ok := p.briefStamp(text, b)
	if !ok {
		return false
	}
	program, ok := p.known.find(text[at:])
	if !ok {
		return false
	}
	b.Program = program
	at += len(p.known.programs[program].path)

	// Add or delete is as good as a coin toss to the processor's guesses: no branches.
	status := text[at:]
	differ := binary.LittleEndian.Uint64(status) ^ deleteBytes
	deleted := (differ - 1) &^ differ >> 63 // 1 if nothing differs
	more := int(deleted) * (len("delete") - len("add"))
	if binary.LittleEndian.Uint64(status[more:])&sevenBytes != addBytes^(addBytes^deleteBytes2)*deleted {
		return false
	}
	b.Delete = deleted != 0
	at += more + len(" add - ")

	words := text[at : at+wordsLen]
	w0, w1 := binary.LittleEndian.Uint64(words), binary.LittleEndian.Uint64(words[8:])
	ends := blanks(w0) | blanks(w1)<<8 | blanks(binary.LittleEndian.Uint64(words[16:]))<<16 |
		blanks(binary.LittleEndian.Uint64(words[24:]))<<24 | blanks(binary.LittleEndian.Uint64(words[32:]))<<32
	addrEnd := bits.TrailingZeros64(ends)
	ends &= ends - 1
	alertEnd := bits.TrailingZeros64(ends)
	ends &= ends - 1
	ruleEnd := bits.TrailingZeros64(ends)
	ruleLen := ruleEnd - alertEnd - 1
	if ends == 0 || addrEnd < minAddr4 || addrEnd > maxAddr4 || ruleLen > maxBriefRule ||
		words[addrEnd] != ' ' || words[alertEnd] != ' ' || words[ruleEnd] != ' ' && words[ruleEnd] != '\n' {
		return b.readLonger(text, at)
	}
	b.Addr, b.Six = cut(w0, w1, addrEnd), false
	if above9(b.Addr.Low)|above9(b.Addr.High) != 0 {
		return b.readLonger(text, at)
	}
	return b.readRule(text, at+alertEnd+1, ruleLen)
}

// readRule reads the rule, and finds the end of the line.
func (b *Brief) readRule(text []byte, at, length int) bool {
	rule := binary.LittleEndian.Uint64(text[at:])
	binary.LittleEndian.PutUint64(b.Rule[:], rule&(1<<(8*length)-1))
	at += length
	end := bytes.IndexByte(text[at:], '\n')
	b.End = at + end
	return end >= 0
}

// readLonger reads the words if they are longer than wordsLen together, or the address is
// an IPv6 one.
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
	return b.readRule(text, alertEnd+1, length)
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
func (p *Parser) briefStamp(text []byte, b *Brief) (at int, ok bool) {
	h := &p.hours[p.recent]
	tail := text[headLen+clockLen:]
	if binary.LittleEndian.Uint64(text) != h.left || binary.LittleEndian.Uint64(text[headLen-8:]) != h.right || !h.brief ||
		binary.LittleEndian.Uint64(tail) != h.tailLeft || binary.LittleEndian.Uint64(tail[len(h.tail)-8:]) != h.tailRight {
		return 0, false
	}
	// Five bytes of digits less '0', and of the colon less itself: those that are too high
	// reach a highest bit when what is missing to it is added.
	const fiveBytes, digits, missing, highest = 1<<40 - 1, 0x30303a3030, 0x76797f767a, 0x8080808080
	clock := binary.LittleEndian.Uint64(text[headLen:])&fiveBytes ^ digits
	second := (clock>>24&0xff)*10 + clock>>32
	b.Unix = h.start + int64(((clock&0xff)*10+clock>>8&0xff)*60+second)
	return headLen + clockLen + len(h.tail), ((clock+missing)|clock)&highest == 0 && second <= 60
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

// above9 tells whether a byte of x is more than '9'.
func above9(x uint64) uint64 {
	const add = (0x7f - '9') * ones
	return ((x &^ highs) + add | x) & highs
}
