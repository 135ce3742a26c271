package notify

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/wneessen/go-mail/smtp"
)

// maxIterations bounds how often the server may have the password hashed: a second's work.
// Servers want 4,096 (RFC 7677) to a few hundred thousand.
const maxIterations = 1_000_000

var errIterations = errors.New("the server wants the password hashed too often")

// boundedScram refuses a count of iterations that would keep go-mail, which takes any,
// computing for ever: no deadline ends that. It looks at the challenge, so encryption does
// not hide it.
type boundedScram struct{ smtp.Auth }

func (b boundedScram) Next(challenge []byte, more bool) ([]byte, error) {
	for field := range bytes.SplitSeq(challenge, []byte(",")) {
		count, found := bytes.CutPrefix(field, []byte("i="))
		if !found {
			continue
		}
		// What is no number is go-mail's to refuse.
		if n, err := strconv.Atoi(string(count)); err == nil && n > maxIterations {
			return nil, fmt.Errorf("%w: %d times, at most %d will do", errIterations, n, maxIterations)
		}
	}
	return b.Auth.Next(challenge, more)
}
