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
	quoted := strconv.Quote(s.Secret) // as textproto.Error has it with some releases of Go
	return without(text, encode([]byte("\x00"+s.User+"\x00"+s.Secret)), encode([]byte(s.Secret)),
		quoted[1:len(quoted)-1], s.Secret)
}

// without hides secrets in text, and each beginning of one that is long enough to be it: servers cut
// what they repeat.
func without(text string, secrets ...string) string {
	const enough, hidden = 8, "[...]"
	var b strings.Builder
	for len(text) > 0 {
		longest := 0
		for _, secret := range secrets {
			n := 0
			for n < min(len(secret), len(text)) && secret[n] == text[n] {
				n++
			}
			if n >= min(enough, len(secret)) {
				longest = max(longest, n)
			}
		}
		if longest > 0 {
			b.WriteString(hidden)
		} else {
			longest = 1
			b.WriteByte(text[0])
		}
		text = text[longest:]
	}
	return b.String()
}
