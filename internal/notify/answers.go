package notify

import (
	"encoding/base64"
	"errors"
	"net"
	"strconv"
	"strings"
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

// told is an error as people may see it and a log may hold it: servers put into their
// answers what they like, what they were sent too.
type told struct {
	error
	text string
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.error }

func (s *session) told(err error) error {
	if err == nil {
		return nil
	}
	return told{err, s.presentable(err.Error())}
}

// presentable makes a text from the server printable, and takes the password out of it: on
// its own, and as LOGIN and PLAIN send it. Of what the other mechanisms send nobody can
// read it.
func (s *session) presentable(text string) string {
	text = clip(text, maxLog)
	if s.secret != "" {
		encode := base64.StdEncoding.EncodeToString
		text = without(text, encode([]byte("\x00"+s.User+"\x00"+s.secret)))
		text = without(text, encode([]byte(s.secret)))
		quoted := strconv.Quote(s.secret) // as textproto.Error has it
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], hiddenSecret)
		text = strings.ReplaceAll(text, s.secret, hiddenSecret)
	}
	return cleanLog(text)
}

const (
	// hiddenSecret stands in the place of a secret.
	hiddenSecret = "[...]"
	// telling is how many characters at its beginning tell an encoded secret from other
	// text. An answer may hold no more of it: servers cut what they repeat.
	telling = 8
)

// without hides an encoded secret in text, and each beginning of it.
func without(text, secret string) string {
	start := secret[:min(telling, len(secret))]
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, start)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(hiddenSecret)
		rest := secret[len(start):]
		n := 0
		for n < len(rest) && n < len(after) && rest[n] == after[n] {
			n++
		}
		text = after[n:]
	}
}
