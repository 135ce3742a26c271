package arlog

import (
	"encoding/binary"
	"math/bits"
)

// Brief is the most common kind of line in numbers alone: one in OSSEC's dialect with the
// date in the C locale's form, add or delete, and an IPv4 address.
type Brief struct {
	Unix   int64 // seconds
	Addr   uint32
	Delete bool // else add
	// Where the program's path and the rule id stand in the line.
	Program, ProgramEnd, Rule, RuleEnd int
}

const (
	addWord    = "add - "
	deleteWord = "delete - "
)

// load returns a word of up to eight bytes as it stands in memory.
func load(word string) (x uint64) {
	for i := range min(len(word), 8) {
		x |= uint64(word[i]) << (8 * i)
	}
	return x
}

var (
	addBytes    = load(addWord)
	deleteBytes = load(deleteWord)
)

// Brief reads the line that the text begins with, in half the time that Parse takes. Other
// lines may follow: it ends with the first newline from b.RuleEnd on. Brief reports false
// for a line that is of another kind or whose hour is new to the Parser: Parse reads
// those.
func (p *Parser) Brief(line []byte, b *Brief) bool {
	const shortest = headLen + clockLen + 24
	if len(line) < shortest {
		return false
	}
	h := &p.hours[p.recent]
	tail := line[headLen+clockLen:]
	if binary.LittleEndian.Uint64(line) != h.left || binary.LittleEndian.Uint64(line[headLen-8:]) != h.right ||
		len(h.tail) < 8 || binary.LittleEndian.Uint64(tail) != h.tailLeft || binary.LittleEndian.Uint64(tail[len(h.tail)-8:]) != h.tailRight {
		return false
	}
	within, ok := seconds(line[headLen : headLen+clockLen])
	if !ok {
		return false
	}
	b.Unix = h.start + within
	b.Program = headLen + clockLen + len(h.tail)
	at, ok := blank(line, b.Program)
	if !ok || len(line) < at+1+len(deleteWord) {
		return false
	}
	b.ProgramEnd = at
	switch next := binary.LittleEndian.Uint64(line[at+1:]); {
	case next<<16 == addBytes<<16:
		b.Delete = false
		at += 1 + len(addWord)
	case next == deleteBytes && line[at+len(deleteWord)] == ' ':
		b.Delete = true
		at += 1 + len(deleteWord)
	default:
		return false
	}
	var n int
	if b.Addr, n, ok = parseAddr4(line[at:]); !ok {
		return false
	}
	if at, ok = blank(line, at+n); !ok { // the alert id
		return false
	}
	b.Rule = at + 1
	b.RuleEnd, ok = wordEnd(line, b.Rule)
	return ok && (line[b.RuleEnd] == ' ' || line[b.RuleEnd] == '\n')
}

// blank finds the blank that ends the word that begins at from, if eight bytes can be read
// up to there.
func blank(s []byte, from int) (int, bool) {
	end, ok := wordEnd(s, from)
	return end, ok && s[end] == ' '
}

// wordEnd finds the first blank or control character.
func wordEnd(s []byte, from int) (int, bool) {
	const above = (' ' + 1) * ones
	for ; from+8 <= len(s); from += 8 {
		x := binary.LittleEndian.Uint64(s[from:])
		if m := (x - above) &^ x & highs; m != 0 {
			return from + bits.TrailingZeros64(m)>>3, true
		}
	}
	return 0, false
}
