package arlog

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxKnown is how many programs Brief knows: more than an installation has names.
	maxKnown = 64
	// maxProgram is the length of the longest path that Brief knows, in bytes.
	maxProgram = 128
)

// known are the programs that have been read, by which Brief recognises them.
type known struct {
	programs []program
	// places holds numbers of programs, counted from 1, by what stands where the name of
	// the first program began in its path: that differs where the rest of a path does not.
	// Other programs than those that it says may be there: it only says where to look.
	places [1024]uint8
	nameAt int
	last   int // the one that was found last
}

// program is a path, also in words: its first and last 32 bytes, if it is not too long for
// them. Comparing those takes half the time of comparing bytes of any number.
type program struct {
	path        []byte
	first, last [4]uint64
	inWords     bool
}

func newProgram(path []byte) program {
	p := program{path: bytes.Clone(path), inWords: len(path) >= 32 && len(path) <= 64}
	if p.inWords {
		for i := range 4 {
			p.first[i] = binary.LittleEndian.Uint64(path[8*i:])
			p.last[i] = binary.LittleEndian.Uint64(path[len(path)-32+8*i:])
		}
	}
	return p
}

// place is where to look for a program: two words of its name tell.
func (k *known) place(name, more uint64) *uint8 {
	return &k.places[(name^more*0x9e3779b97f4a7c15)*0xd6e8feb86659fd93>>54]
}

// find returns which known program stands from at on, and where it ends. The caller looks
// at what follows.
func (k *known) find(o *opening, at int) (number, end int, ok bool) {
	name := o.from(at + k.nameAt)
	number = int(*k.place(name.word(0), name.word(8))) - 1
	if uint(number) >= uint(len(k.programs)) || !k.programs[number].inWords {
		return k.findSlowly(o, at, number)
	}
	p := &k.programs[number]
	end = at + len(p.path)
	first, last := o.from(at), o.from(end-32)
	differ := (first.word(0) ^ p.first[0]) | (first.word(8) ^ p.first[1]) | (first.word(16) ^ p.first[2]) | (first.word(24) ^ p.first[3])
	differ |= (last.word(0) ^ p.last[0]) | (last.word(8) ^ p.last[1]) | (last.word(16) ^ p.last[2]) | (last.word(24) ^ p.last[3])
	if differ != 0 {
		return k.findSlowly(o, at, number)
	}
	k.last = number
	return number, end, true
}

// findSlowly tries the program that is likely, -1 for none, and the one that was found last.
func (k *known) findSlowly(o *opening, at, likely int) (number, end int, ok bool) {
	for _, n := range [2]int{likely, k.last} {
		if n >= 0 && n < len(k.programs) && bytes.HasPrefix(o[at:], k.programs[n].path) {
			k.last = n
			return n, at + len(k.programs[n].path), true
		}
	}
	return 0, 0, false
}

// learn remembers a program, which the text begins with.
func (k *known) learn(path, text []byte) {
	if len(path) > maxProgram {
		return
	}
	number := 0
	for number < len(k.programs) && !bytes.Equal(k.programs[number].path, path) {
		number++
	}
	if number == maxKnown {
		return
	}
	if number == len(k.programs) {
		if number == 0 {
			k.nameAt = bytes.LastIndexByte(path, '/') + 1
		}
		k.programs = append(k.programs, newProgram(path))
	}
	if len(text) >= k.nameAt+16 {
		name := text[k.nameAt:]
		*k.place(binary.LittleEndian.Uint64(name), binary.LittleEndian.Uint64(name[8:])) = uint8(number + 1)
	}
}
