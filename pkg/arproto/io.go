package arproto

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxLine bounds a line of JSON, in bytes.
const MaxLine = 1 << 20

// ErrNoReply says that the daemon did not answer check_keys in time, or at all.
var ErrNoReply = errors.New("no answer to check_keys")

// Conn is the standard input and output of a response that a Wazuh daemon started.
type Conn struct {
	in  *bufio.Reader
	out io.Writer
}

// NewConn returns a Conn that reads from in and answers on out.
func NewConn(in io.Reader, out io.Writer) *Conn {
	return &Conn{bufio.NewReader(in), out}
}

// ReadRequest reads one request, waiting no longer than wait. When it returns
// because of that, the read goes on in the background until the program ends.
func (c *Conn) ReadRequest(wait time.Duration, addressFields []string) (*Request, error) {
	line, err := c.readLine(wait)
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return &Request{Dialect: Wazuh4}, ErrNoRequest
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return &Request{Dialect: Wazuh4}, fmt.Errorf("reading standard input: %w", err)
	}
	return ParseJSON(line, addressFields)
}

type message struct {
	Version    int        `json:"version"`
	Origin     origin     `json:"origin"`
	Command    string     `json:"command"`
	Parameters parameters `json:"parameters"`
}

type origin struct {
	Name   string `json:"name"`
	Module string `json:"module"`
}

type parameters struct {
	Keys []string `json:"keys"`
}

// CheckKeys asks the daemon whether it already holds these keys, as a Wazuh
// response must before it acts on an add, and returns whether to go on. program is
// the response's own name. Without a clear answer within wait it returns true and
// an error: the caller should act, for the attack is real, and report the error.
func (c *Conn) CheckKeys(program string, keys []string, wait time.Duration) (bool, error) {
	question, err := json.Marshal(message{
		Version: 1, Origin: origin{program, "active-response"},
		Command: "check_keys", Parameters: parameters{keys},
	})
	if err != nil {
		return true, fmt.Errorf("%w: %w", ErrNoReply, err)
	}
	if _, err := c.out.Write(append(question, '\n')); err != nil {
		return true, fmt.Errorf("%w: asking: %w", ErrNoReply, err)
	}
	line, err := c.readLine(wait)
	if len(line) == 0 {
		return true, fmt.Errorf("%w: %w", ErrNoReply, err)
	}
	var answer struct {
		Command string `json:"command"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return true, fmt.Errorf("%w: not JSON: %w", ErrNoReply, err)
	}
	switch answer.Command {
	case "continue":
		return true, nil
	case "abort":
		return false, nil
	}
	return true, fmt.Errorf("%w: command %s is neither continue nor abort", ErrNoReply, Quote(answer.Command))
}

// readLine returns one line of at most MaxLine bytes with its end, or what there
// was of it and the error.
func (c *Conn) readLine(wait time.Duration) ([]byte, error) {
	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var line []byte
		for {
			part, err := c.in.ReadSlice('\n')
			line = append(line, part...)
			switch {
			case len(line) > MaxLine:
				done <- result{nil, fmt.Errorf("the line is longer than %d bytes", MaxLine)}
				return
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			}
			done <- result{line, err}
			return
		}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.line, r.err
	case <-timer.C:
		return nil, fmt.Errorf("no whole line within %s", wait)
	}
}
