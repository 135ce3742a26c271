// Package mailtest is an SMTP server in the test's process that answers as configured and parses the
// mails that it receives. Tests of mail and notify share it.
package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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

	"github.com/emersion/go-smtp"
)

// Server is an SMTP server in this process. Its fields say how it behaves and may be
// changed between mails, under the lock.
type Server struct {
	t    *testing.T
	port int
	got  chan Received

	mu     sync.Mutex
	OnRcpt func(to string) error
	// in place of reading it all; the mail counts as received when it returns nil
	OnData    func(r io.Reader) error
	CutAfter  int // > 0: hang up after so many bytes of a mail
	Mechs     []string
	Count     string // of SCRAM's iterations
	user      string // who logged in last
	Mech      string // how
	Encrypted bool   // the last mail came so
}

// Received is a mail as it came, and its envelope.
type Received struct {
	From string
	To   []string
	Raw  []byte
}

// Who may log in.
const (
	User     = "mailer"
	Password = "s3cret \"p&w"
)

// New starts one. secure makes it offer STARTTLS with a certificate for
// 127.0.0.1, or speak TLS at once when implicit is set. It returns the file of the
// certificate.
func New(t *testing.T, secure, implicit bool) (*Server, string) {
	t.Helper()
	s := &Server{t: t, got: make(chan Received, 4096)}
	server := smtp.NewServer(s)
	server.Domain, server.AllowInsecureAuth = "mail.test", true
	server.MaxMessageBytes = 64 << 20
	server.ErrorLog = quiet{}
	ca := ""
	if secure {
		server.TLSConfig, ca = Certificate(t)
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

// Certificate makes a certificate for 127.0.0.1 and mail.test, and the file that holds it.
func Certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"mail.test"}, IsCA: true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, path
}

// Set changes how the server behaves.
func (s *Server) Set(change func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *Server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{server: s, conn: c}, nil
}

type session struct {
	server *Server
	conn   *smtp.Conn
	mail   Received
}

func (s *session) Reset()        { s.mail = Received{} }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if len(s.server.Mechs) > 0 && s.server.user == "" {
		return &smtp.SMTPError{Code: 530, Message: "log in first"}
	}
	s.mail.From = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	refuse := s.server.OnRcpt
	s.server.mu.Unlock()
	if refuse != nil {
		if err := refuse(to); err != nil {
			return err
		}
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	s.server.mu.Lock()
	OnData, cut := s.server.OnData, s.server.CutAfter
	_, s.server.Encrypted = s.conn.TLSConnectionState()
	s.server.mu.Unlock()
	if cut > 0 {
		_, _ = io.CopyN(io.Discard, r, int64(cut))
		_ = s.conn.Conn().Close()
		return errors.New("cut")
	}
	var raw bytes.Buffer
	if OnData != nil {
		if err := OnData(io.TeeReader(r, &raw)); err != nil {
			return err
		}
	} else if _, err := io.Copy(&raw, r); err != nil {
		return err
	}
	s.mail.Raw = raw.Bytes()
	s.server.got <- s.mail
	return nil
}

// Next waits for a mail.
func (s *Server) Next() Mail {
	s.t.Helper()
	select {
	case m := <-s.got:
		return Parse(s.t, m)
	case <-time.After(time.Minute):
		s.t.Fatal("no mail came")
		panic("not reached")
	}
}

// None checks that no mail has come.
func (s *Server) None() {
	s.t.Helper()
	select {
	case m := <-s.got:
		s.t.Fatalf("a mail came:\n%s", m.Raw)
	default:
	}
}

// All returns the mails that have come.
func (s *Server) All() []Mail {
	var mails []Mail
	for {
		select {
		case m := <-s.got:
			mails = append(mails, Parse(s.t, m))
		default:
			return mails
		}
	}
}

// Mail is a mail, taken apart by the standard library.
type Mail struct {
	Received
	Header     mail.Header
	Subject    string
	Text, HTML string
}

// Parse takes a mail apart.
func Parse(t *testing.T, m Received) Mail {
	t.Helper()
	slices.Sort(m.To)
	p := Mail{Received: m}
	message, err := mail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatalf("the mail does not parse: %v\n%s", err, m.Raw)
	}
	p.Header = message.Header
	p.Subject, err = new(mime.WordDecoder).DecodeHeader(p.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "text/plain" {
		p.Text = unquote(t, message.Body)
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
			t.Fatalf("part %d: %v\n%s", n, err, m.Raw)
		}
		body := unquote(t, part)
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			p.HTML = body
		} else {
			p.Text = body
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

// Conf returns an ossec.conf that names the server; more goes into its <global>.
func (s *Server) Conf(more string) string {
	return "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>127.0.0.1</smtp_server><smtp_port>" +
		strconv.Itoa(
			s.port,
		) + "</smtp_port><email_from>ossec@web.example.org</email_from>" + more +
		"</global></ossec_config>\n"
}
