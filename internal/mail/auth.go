package mail

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail/smtp"
)

// authenticate logs in when a user is set.
func (s *session) authenticate() error {
	if s.User == "" {
		return nil
	}
	if s.Mail.Password != "" && s.Secret == "" {
		return errPassword
	}
	_, offered := s.smtp.Extension("AUTH")
	name, auth := s.mechanism(strings.Fields(strings.ToUpper(offered)), s.Secret)
	if auth == nil {
		return fmt.Errorf("logging in: the server offers %q, and none of it can be used here", offered)
	}
	s.sent = true
	s.step()
	if err := s.smtp.Auth(auth); err != nil {
		return fmt.Errorf("logging in as %q with %s: %w", s.User, name, err)
	}
	s.trace("logged in as %s with %s", s.User, name)
	return nil
}

// mechanism picks how to log in. Behind encryption PLAIN comes before CRAM-MD5, which
// servers that keep no plain passwords offer in vain; without it nothing that shows the
// password goes anywhere but to this machine.
func (s *session) mechanism(offered []string, secret string) (string, smtp.Auth) {
	clear := s.tls || s.loopback()
	order := []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5"}
	if !s.tls {
		order = []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"}
	}
	for _, name := range order {
		if !slices.Contains(offered, name) || s.Auth != "auto" && !strings.EqualFold(s.Auth, name) {
			continue
		}
		switch {
		case name == "SCRAM-SHA-256":
			return name, boundedScram{smtp.ScramSHA256Auth(s.User, secret)}
		case name == "SCRAM-SHA-1":
			return name, boundedScram{smtp.ScramSHA1Auth(s.User, secret)}
		case name == "CRAM-MD5":
			return name, smtp.CRAMMD5Auth(s.User, secret)
		case name == "PLAIN" && clear:
			return name, smtp.PlainAuth("", s.User, secret, s.Server, true)
		case name == "LOGIN" && clear:
			return name, smtp.LoginAuth(s.User, secret, s.Server, true)
		}
	}
	return "", nil
}

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
