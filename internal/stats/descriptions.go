package stats

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// learnFrom bounds how much of the end of the alert log is searched for descriptions, in
// bytes.
const learnFrom = 4 << 20

// learn looks for the descriptions of the rules that blocked something in the alert log.
// A missing log has none.
func (n *names) learn(path string, blocks []uint64) error {
	missing := map[string]uint16{}
	for id, count := range blocks {
		if id := uint16(id); id != 0 && count > 0 && n.description(id) == "" {
			missing[n.text(id)] = id
		}
	}
	if len(missing) == 0 {
		return nil
	}
	file, err := openPlain(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	info, err := file.Stat()
	if err != nil {
		return err
	}
	from := max(info.Size()-learnFrom, 0)
	text := make([]byte, info.Size()-from)
	read, err := io.ReadFull(io.NewSectionReader(file, from, learnFrom), text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	n.learnText(text[:read], missing)
	return nil
}

// learnText goes from one alert to the next: a header, a line with the time and place,
// and "Rule: 5712 (level 10) -> 'SSHD brute force.'".
func (n *names) learnText(text []byte, missing map[string]uint16) {
	for len(missing) > 0 {
		at := bytes.Index(text, []byte("** Alert "))
		if at < 0 {
			return
		}
		begins := at == 0 || text[at-1] == '\n'
		text = text[at+1:]
		if !begins {
			continue
		}
		_, rest, _ := bytes.Cut(text, []byte("\n"))
		_, rest, _ = bytes.Cut(rest, []byte("\n"))
		line, _, ended := bytes.Cut(rest, []byte("\n"))
		rule, found := bytes.CutPrefix(line, []byte("Rule: "))
		word, description, quoted := bytes.Cut(rule, []byte(" "))
		if id, ok := missing[string(word)]; ok && found && ended && quoted {
			_, description, _ = bytes.Cut(description, []byte("-> '"))
			n.describe(id, string(bytes.TrimSuffix(bytes.TrimRight(description, "\r"), []byte("'"))))
			delete(missing, string(word))
		}
	}
}
