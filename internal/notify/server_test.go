package notify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailServer is an SMTP server in this process. Its fields say how it behaves and may be
// changed between mails, under the lock.
type mailServer struct {
	t    *testing.T
	port int
	got  chan received

	mu        sync.Mutex
	onRcpt    func(to string) error
	onData    func(r io.Reader) error // in place of reading it all; the mail counts as received when it returns nil
	cutAfter  int                     // > 0: hang up after so many bytes of a mail
	mechs     []string
	count     string // of SCRAM's iterations
	user      string // who logged in last
	mech      string
	encrypted bool // the last mail came so
}

type received struct {
	from string
	to   []string
	raw  []byte
}

const (
	testUser     = "mailer"
	testPassword = "s3cret \"p&w"
)

// newMailServer starts one. secure makes it offer STARTTLS with a certificate for
// 127.0.0.1, or speak TLS at once when implicit is set. It returns the file of the
// certificate.
func newMailServer(t *testing.T, secure, implicit bool) (*mailServer, string) {
	t.Helper()
	s := &mailServer{t: t, got: make(chan received, 4096)}
	server := smtp.NewServer(s)
	server.Domain, server.AllowInsecureAuth = "mail.test", true
	server.MaxMessageBytes = 64 << 20
	server.ErrorLog = quiet{}
	ca := ""
	if secure {
		server.TLSConfig, ca = certificate(t)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if implicit {
		l = tls.NewListener(l, server.TLSConfig)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it ends when the test does
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s, ca
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"mail.test"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, path
}

// set changes how the server behaves.
func (s *mailServer) set(change func(*mailServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{server: s, conn: c}, nil
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	mail   received
}

func (s *mailSession) Reset()        { s.mail = received{} }
func (s *mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if len(s.server.mechs) > 0 && s.server.user == "" {
		return &smtp.SMTPError{Code: 530, Message: "log in first"}
	}
	s.mail.from = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	refuse := s.server.onRcpt
	s.server.mu.Unlock()
	if refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	s.server.mu.Lock()
	onData, cut := s.server.onData, s.server.cutAfter
	_, s.server.encrypted = s.conn.TLSConnectionState()
	s.server.mu.Unlock()
	if cut > 0 {
		_, _ = io.CopyN(io.Discard, r, int64(cut))
		_ = s.conn.Conn().Close()
		return errors.New("cut")
	}
	var raw bytes.Buffer
	if onData != nil {
		if err := onData(io.TeeReader(r, &raw)); err != nil {
			return err
		}
	} else if _, err := io.Copy(&raw, r); err != nil {
		return err
	}
	s.mail.raw = raw.Bytes()
	s.server.got <- s.mail
	return nil
}

func (s *mailSession) AuthMechanisms() []string {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	return s.server.mechs
}

func (s *mailSession) Auth(mech string) (sasl.Server, error) {
	good := func(user, password string) error {
		if user != testUser || password != testPassword {
			return &smtp.SMTPError{Code: 535, Message: "no"}
		}
		s.server.set(func(m *mailServer) { m.user, m.mech = user, mech })
		return nil
	}
	switch mech {
	case "PLAIN":
		return sasl.NewPlainServer(func(_, user, password string) error { return good(user, password) }), nil
	case "LOGIN":
		return &loginServer{good: good}, nil
	case "CRAM-MD5":
		return &cramServer{good: good}, nil
	case "SCRAM-SHA-256":
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		return &scramServer{good: good, count: s.server.count}, nil
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
	mac := hmac.New(md5.New, []byte(testPassword))
	mac.Write([]byte(challenge))
	if digest != hex.EncodeToString(mac.Sum(nil)) {
		return nil, true, c.good(user, "")
	}
	return nil, true, c.good(user, testPassword)
}

// scramServer is SCRAM-SHA-256 (RFC 5802, RFC 7677) with a count of iterations that may be
// no number.
type scramServer struct {
	good                                    func(user, password string) error
	count                                   string
	step                                    int
	user, clientFirst, serverFirst, verdict string
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
		s.serverFirst = "r=" + nonce + "more,s=" + base64.StdEncoding.EncodeToString([]byte("salt")) + ",i=" + s.count
		return []byte(s.serverFirst), false, nil
	case 3:
		return s.prove(string(response))
	}
	return nil, true, s.good(s.user, testPassword)
}

// prove checks the client's proof and gives the server's.
func (s *scramServer) prove(final string) ([]byte, bool, error) {
	count, err := strconv.Atoi(s.count)
	if err != nil {
		return nil, true, err
	}
	salted, err := pbkdf2.Key(sha256.New, testPassword, []byte("salt"), count, sha256.Size)
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
	return []byte("v=" + base64.StdEncoding.EncodeToString(sum(sum(salted, "Server Key"), dialogue))), false, nil
}

// next waits for a mail.
func (s *mailServer) next() parsed {
	s.t.Helper()
	select {
	case m := <-s.got:
		return parseMail(s.t, m)
	case <-time.After(time.Minute):
		s.t.Fatal("no mail came")
		panic("not reached")
	}
}

// none checks that no mail has come.
func (s *mailServer) none() {
	s.t.Helper()
	select {
	case m := <-s.got:
		s.t.Fatalf("a mail came:\n%s", m.raw)
	default:
	}
}

// all returns the mails that have come.
func (s *mailServer) all() []parsed {
	var mails []parsed
	for {
		select {
		case m := <-s.got:
			mails = append(mails, parseMail(s.t, m))
		default:
			return mails
		}
	}
}

// parsed is a mail, taken apart by the standard library.
type parsed struct {
	received
	header     mail.Header
	subject    string
	text, html string
}

func parseMail(t *testing.T, m received) parsed {
	t.Helper()
	slices.Sort(m.to)
	p := parsed{received: m}
	message, err := mail.ReadMessage(bytes.NewReader(m.raw))
	if err != nil {
		t.Fatalf("the mail does not parse: %v\n%s", err, m.raw)
	}
	p.header = message.Header
	p.subject, err = new(mime.WordDecoder).DecodeHeader(p.header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(p.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "text/plain" {
		p.text = unquote(t, message.Body)
		return p
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			if kind != "multipart/alternative" || n != 2 {
				t.Errorf("%s of %d parts", kind, n)
			}
			return p
		}
		if err != nil {
			t.Fatalf("part %d: %v\n%s", n, err, m.raw)
		}
		body := unquote(t, part)
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			p.html = body
		} else {
			p.text = body
		}
	}
}

func unquote(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := io.ReadAll(quotedprintable.NewReader(r))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// conf writes an ossec.conf for the server and returns its text.
func (s *mailServer) conf(more string) string {
	return "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1</smtp_server><smtp_port>" +
		strconv.Itoa(s.port) + "</smtp_port><email_from>ossec@web.example.org</email_from>" + more + "</global></ossec_config>\n"
}
