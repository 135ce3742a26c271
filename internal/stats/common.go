package stats

import (
	"bytes"
	"encoding/binary"
)

// common reads the line that nearly all of a log consists of: OSSEC's dialect, with a
// message, an IPv4 address that is blocked or freed. It reports false for any other. What it
// reads, decode reads the same, with all fields of the line. Processor time is a tenth less with it.
func (d *decoder) common(line []byte, e *event) (wanted, ok bool) {
	unix, rest, ok := d.parser.Stamp(line)
	if !ok || line[4] == '/' || len(d.filter.Networks) > 0 {
		return false, false
	}
	end := bytes.IndexByte(rest, ' ')
	if end < 0 {
		return false, false
	}
	path, rest := rest[:end], rest[end+1:]
	switch {
	case bytes.HasPrefix(rest, []byte("add - ")):
		e.kind, rest = blocked, rest[len("add - "):]
	case bytes.HasPrefix(rest, []byte("delete - ")):
		e.kind, rest = unblocked, rest[len("delete - "):]
	default:
		return false, false
	}
	addr, rest, ok := cutAddr4(rest)
	if !ok {
		return false, false
	}
	alert := bytes.IndexByte(rest, ' ')
	length := bytes.IndexByte(rest[alert+1:], ' ')
	if alert < 0 || length < 2 { // "-" is none, which decode knows
		return false, false
	}
	program, rule := d.programs.of(path, baseName), d.rules.of(rest[alert+1:alert+1+length], whole)
	e.addr, e.when, e.program, e.rule = addr, unix, program.id, rule.id
	return program.wanted && rule.wanted, true
}

// cutAddr4 reads the IPv4 address and the blank that s begins with, and returns what follows.
func cutAddr4(s []byte) (k key, rest []byte, ok bool) {
	var octets [4]byte
	at := 0
	for i := range octets {
		begin, value := at, uint(0)
		for at < len(s) && at < begin+3 && s[at]-'0' <= 9 {
			value = value*10 + uint(s[at]-'0')
			at++
		}
		if at == begin || at == len(s) || value > 255 || s[begin] == '0' && at > begin+1 || s[at] != "... "[i] {
			return key{}, nil, false
		}
		octets[i] = byte(value)
		at++
	}
	return key{0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(octets[:]))}, s[at:], true
}
