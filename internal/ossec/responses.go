package ossec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// ListedResponse is a line of ar.conf: what execd may be asked to run.
type ListedResponse struct {
	Name       string
	Executable string
	Timeout    time.Duration // 0: no delete is ever sent
	Line       int
}

// maxResponseList bounds ar.conf in bytes. OSSEC's own account may write it.
const maxResponseList = 1 << 20

// ReadResponseList reads ar.conf, which has lines `NAME - EXECUTABLE - TIMEOUT`. Broken
// lines are skipped and reported together with what could be read, by their numbers alone: OSSEC's
// account can make the file a link to a secret. A missing file is an error that errors.Is
// os.ErrNotExist.
func ReadResponseList(path string) ([]ListedResponse, error) {
	text, err := state.Read(path, maxResponseList)
	if err != nil {
		return nil, fmt.Errorf("reading the list of responses: %w", err)
	}
	return parseResponseList(bytes.NewReader(text), path)
}

func parseResponseList(in io.Reader, path string) ([]ListedResponse, error) {
	var list []ListedResponse
	var broken error
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		parts := strings.Split(text, " - ")
		if len(parts) != 3 {
			broken = fmt.Errorf("%s:%d: not NAME - EXECUTABLE - TIMEOUT", path, n)
			continue
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(parts[2]), 10, 32)
		if err != nil || seconds < 0 {
			broken = fmt.Errorf("%s:%d: no timeout in seconds", path, n)
			continue
		}
		list = append(list, ListedResponse{
			Name: strings.TrimSpace(parts[0]), Executable: strings.TrimSpace(parts[1]),
			Timeout: time.Duration(seconds) * time.Second, Line: n,
		})
	}
	if err := lines.Err(); err != nil {
		return list, fmt.Errorf("reading the list of responses: %w", err)
	}
	return list, broken
}

// maxRepeats is how many values of <repeated_offenders> execd reads.
const maxRepeats = 5

// RepeatedOffenders returns the longest time that <repeated_offenders> in ossec.conf
// makes of a timeout, 0 when there is none. execd reads it from the first
// <active-response> only; here every one counts, for to end a block too early is worse
// than to end it late.
func RepeatedOffenders(conf string) (time.Duration, error) {
	var longest time.Duration
	err := ReadConf(conf, func(e Element) {
		if e.Path[len(e.Path)-1] != "repeated_offenders" {
			return
		}
		for i, text := range strings.Split(e.Text, ",") {
			minutes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
			if err != nil || minutes <= 0 || i >= maxRepeats {
				return // a 0 at the head turns it off
			}
			longest = max(longest, time.Duration(minutes)*time.Minute)
		}
	})
	return longest, err
}

// Timeouts records how long blocks of each executable may last.
type Timeouts struct {
	longest map[string]time.Duration
	forever map[string]bool
}

// ReadTimeouts brings ar.conf and <repeated_offenders> together. What could be read
// counts even when there is an error.
func ReadTimeouts(home Home) (Timeouts, error) {
	t := Timeouts{map[string]time.Duration{}, map[string]bool{}}
	list, err := ReadResponseList(home.ResponseList())
	repeats, confErr := RepeatedOffenders(home.Conf())
	for _, r := range list {
		if r.Timeout == 0 {
			t.forever[r.Executable] = true
			continue
		}
		t.longest[r.Executable] = max(t.longest[r.Executable], r.Timeout, repeats)
	}
	if errors.Is(confErr, os.ErrNotExist) {
		confErr = nil
	}
	return t, errors.Join(err, confErr)
}

// Endless reports whether a block of the executable may last for ever.
func (t Timeouts) Endless(executable string) bool { return t.forever[executable] }

// Longest returns how long a block of the executable may last at most; false when it may
// last for ever, or when ar.conf does not list it.
func (t Timeouts) Longest(executable string) (time.Duration, bool) {
	d, ok := t.longest[executable]
	return d, ok && !t.forever[executable]
}
