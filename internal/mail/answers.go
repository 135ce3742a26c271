package mail

import (
	"encoding/base64"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// maxAnswers bounds what a server may say in one dialogue, in bytes, those of encryption
// counted too.
const maxAnswers = 2 << 20

var errTalkative = errors.New("the server says too much")

// boundedConn lets no more than left bytes in.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTalkative
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// presentable returns err as people may see it and a log may hold it: servers put into their
// answers what they like, also what they were sent.
func (s *session) presentable(err error) error {
	if err == nil {
		return nil
	}
	return presentableError{err, printable.Lines(s.withoutSecret(err.Error()))}
}

type presentableError struct {
	error
	text string
}

func (e presentableError) Error() string { return e.text }
func (e presentableError) Unwrap() error { return e.error }

// maxAnswer bounds what is kept of an answer, in bytes.
const maxAnswer = 16 << 10

// withoutSecret takes the password out of a text from the server: on its own, and as LOGIN and
// PLAIN send it. Nobody can read it in what the other mechanisms send.
func (s *session) withoutSecret(text string) string {
	text = printable.Clip(text, maxAnswer)
	if !s.sent || s.Secret == "" {
		return text
	}
	encode := base64.StdEncoding.EncodeToString
	quoted := strconv.Quote(s.Secret) // as textproto.Error has it
	for _, secret := range []string{
		encode([]byte("\x00" + s.User + "\x00" + s.Secret)), encode([]byte(s.Secret)),
		quoted[1 : len(quoted)-1], s.Secret,
	} {
		text = without(text, secret)
	}
	return text
}

// without hides a secret in text, and each beginning of it that is long enough to be one: servers
// cut what they repeat.
func without(text, secret string) string {
	const enough, hidden = 8, "[...]"
	start, rest := secret[:min(enough, len(secret))], secret[min(enough, len(secret)):]
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, start)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(hidden)
		n := 0
		for n < min(len(rest), len(after)) && rest[n] == after[n] {
			n++
		}
		text = after[n:]
	}
}
