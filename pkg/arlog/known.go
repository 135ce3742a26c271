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
	programs [][]byte
	// places holds numbers of programs, counted from 1, by what stands where the name of
	// the first program began in its path: that differs where the rest of a path does not.
	// Other programs than those that it says may be there: it only says where to look.
	places [1024]uint8
	nameAt int
	last   int // the one that was found last
}

// place is where to look for the program that the text begins with, which is nameAt+16
// bytes at least.
func (k *known) place(text []byte) *uint8 {
	name := text[k.nameAt : k.nameAt+16]
	x := binary.LittleEndian.Uint64(name) ^ binary.LittleEndian.Uint64(name[8:])*0x9e3779b97f4a7c15
	return &k.places[x*0xd6e8feb86659fd93>>54]
}

// find returns which known program the text begins with. The caller looks at what follows.
func (k *known) find(text []byte) (number int, ok bool) {
	number = int(*k.place(text)) - 1
	if number < 0 || !bytes.HasPrefix(text, k.programs[number]) {
		if number = k.last; number >= len(k.programs) || !bytes.HasPrefix(text, k.programs[number]) {
			return 0, false
		}
	}
	k.last = number
	return number, true
}

// learn remembers a program, which the text begins with.
func (k *known) learn(program, text []byte) {
	if len(program) > maxProgram {
		return
	}
	number := 0
	for number < len(k.programs) && !bytes.Equal(k.programs[number], program) {
		number++
	}
	if number == maxKnown {
		return
	}
	if number == len(k.programs) {
		if number == 0 {
			k.nameAt = bytes.LastIndexByte(program, '/') + 1
		}
		k.programs = append(k.programs, bytes.Clone(program))
	}
	if len(text) >= k.nameAt+16 {
		*k.place(text) = uint8(number + 1)
	}
}
