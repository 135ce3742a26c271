package mailtest

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

func (s *session) AuthMechanisms() []string {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.server.Mechs
}

func (s *session) Auth(Mech string) (sasl.Server, error) {
	good := func(user, password string) error {
		if user != User || password != Password {
			return &smtp.SMTPError{Code: 535, Message: "no"}
		}
		s.server.Set(func(m *Server) { m.user, m.Mech = user, Mech })
		return nil
	}
	switch Mech {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return good(user, password) }), nil
	case "LOGIN":
		return &loginServer{good: good}, nil
	case "CRAM-MD5":
		return &cramServer{good: good}, nil
	case "SCRAM-SHA-256":
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		return &scramServer{good: good, Count: s.server.Count}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

type loginServer struct {
	good  func(user, password string) error
	words []string
	asked int
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if l.asked > 0 {
		l.words = append(l.words, string(response))
	}
	if l.asked++; l.asked <= 2 {
		return []byte([]string{"Username:", "Password:"}[l.asked-1]), false, nil
	}
	return nil, true, l.good(l.words[0], l.words[1])
}

type cramServer struct {
	good  func(user, password string) error
	asked bool
}

const challenge = "<1896.697170952@mail.test>"

func (c *cramServer) Next(response []byte) ([]byte, bool, error) {
	if !c.asked {
		c.asked = true
		return []byte(challenge), false, nil
	}
	user, digest, _ := strings.Cut(string(response), " ")
	mac := hmac.New(md5.New, []byte(Password))
	mac.Write([]byte(challenge))
	if digest != hex.EncodeToString(mac.Sum(nil)) {
		return nil, true, c.good(user, "")
	}
	return nil, true, c.good(user, Password)
}

// scramServer is SCRAM-SHA-256 (RFC 5802, RFC 7677) with a Count of iterations that may be
// no number.
type scramServer struct {
	good                           func(user, password string) error
	Count                          string
	step                           int
	user, clientFirst, serverFirst string
}

func (s *scramServer) Next(response []byte) ([]byte, bool, error) {
	s.step++
	switch s.step {
	case 1:
		return []byte{}, false, nil
	case 2:
		s.clientFirst, _ = strings.CutPrefix(string(response), "n,,")
		name, nonce, _ := strings.Cut(s.clientFirst, ",r=")
		s.user, _ = strings.CutPrefix(name, "n=")
		s.serverFirst = "r=" + nonce + "more,s=" +
			base64.StdEncoding.EncodeToString([]byte("salt")) + ",i=" + s.Count
		return []byte(s.serverFirst), false, nil
	case 3:
		return s.prove(string(response))
	}
	return nil, true, s.good(s.user, Password)
}

// prove checks the client's proof and gives the server's.
func (s *scramServer) prove(final string) ([]byte, bool, error) {
	Count, err := strconv.Atoi(s.Count)
	if err != nil {
		return nil, true, err
	}
	salted, err := pbkdf2.Key(sha256.New, Password, []byte("salt"), Count, sha256.Size)
	if err != nil {
		return nil, true, err
	}
	sum := func(key []byte, text string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	bare, proof, _ := strings.Cut(final, ",p=")
	dialogue := s.clientFirst + "," + s.serverFirst + "," + bare
	key := sum(salted, "Client Key")
	stored := sha256.Sum256(key)
	subtle.XORBytes(key, key, sum(stored[:], dialogue))
	if proof != base64.StdEncoding.EncodeToString(key) {
		return nil, true, s.good(s.user, "")
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(sum(sum(salted, "Server Key"), dialogue))), false,
		nil
}
