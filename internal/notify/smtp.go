package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

var (
	errCertificate = errors.New("the server's certificate is not to be trusted")
	errNoTLS       = errors.New("the server does not offer the encryption that is required")
)

// refused is a mail, or a recipient, that the server does not want, now or later.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// dialogFactor is how much longer than one step all may take until the text is sent: a
// server that is just quick enough at every step must not keep the queue for ever.
const dialogFactor = 2

// dataFactor is how much longer than any other step the server may take to accept the
// mail when it has been sent whole: giving up then would send it twice (RFC 5321,
// 4.5.3.2.6).
const dataFactor = 5

// session is one dialogue with the server.
type session struct {
	Settings
	conn   net.Conn
	end    time.Time // of all steps
	smtp   *smtp.Client
	tls    bool
	trace  func(format string, args ...any)
	secret string // the password, once it is about to be sent
}

// within gives all that comes next its time.
func (s *session) within(factor time.Duration) {
	s.end = time.Now().Add(factor * s.stepTimeout())
}

// step gives the next step its time, of what is left.
func (s *session) step() {
	_ = s.conn.SetDeadline(earliest(time.Now().Add(s.stepTimeout()), s.end)) // a closed connection tells so at the next step
}

// sendSMTP hands one mail to the server. The error is of the server as a whole, and
// another attempt makes sense; without one the map tells of each recipient: nil, it is
// accepted; refused, for good; else deferred.
func sendSMTP(ctx context.Context, settings Settings, to []string, message []byte, trace func(string, ...any)) (map[string]error, error) {
	s := &session{Settings: settings}
	s.trace = func(format string, args ...any) { trace("%s", s.presentable(fmt.Sprintf(format, args...))) }
	result, err := s.send(ctx, to, message)
	for recipient, err := range result {
		result[recipient] = s.told(err)
	}
	return result, s.told(err)
}

func (s *session) send(ctx context.Context, to []string, message []byte) (map[string]error, error) {
	s.within(dialogFactor)
	err := s.open(ctx, true)
	if errors.Is(err, errHandshake) && !s.tlsRequired() && !s.strict {
		s.trace("encryption: %v; going on without", err)
		err = s.open(ctx, false)
	}
	if err != nil {
		return nil, err
	}
	defer s.conn.Close() // after QUIT there is nothing to lose
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	if err := s.authenticate(); err != nil {
		return nil, err
	}
	return s.transact(to, message)
}

// errHandshake says that the server offers encryption but it could not be set up.
var errHandshake = errors.New("setting up encryption")

func (s *session) tlsRequired() bool {
	return s.TLS == "starttls" || s.TLS == "implicit" || s.TLS == "auto" && s.User != "" && !s.loopback()
}

// open connects, says hello, and encrypts as far as the settings and the server go.
func (s *session) open(ctx context.Context, encrypt bool) (err error) {
	address := net.JoinHostPort(strings.Trim(s.Server, "[]"), strconv.Itoa(s.Port))
	dialer := net.Dialer{Timeout: s.stepTimeout(), Deadline: s.end}
	if s.conn, err = dialer.DialContext(ctx, "tcp", address); err != nil {
		return fmt.Errorf("connecting to %s: %w", address, err)
	}
	defer func() {
		if err != nil {
			_ = s.conn.Close()
		}
	}()
	s.conn = &boundedConn{s.conn, maxAnswers}
	s.trace("connected to %s (%s)", address, s.conn.RemoteAddr())
	s.step()
	talk := s.conn
	if s.TLS == "implicit" {
		config, err := s.tlsConfig()
		if err != nil {
			return err
		}
		secure := tls.Client(s.conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return s.handshakeError(err)
		}
		talk, s.tls = secure, true
		s.traceTLS(secure.ConnectionState())
	}
	if s.smtp, err = smtp.NewClient(talk, s.Server); err != nil {
		return fmt.Errorf("waiting for the greeting of %s: %w", address, err)
	}
	s.step()
	if err := s.smtp.Hello(s.HELO); err != nil {
		return fmt.Errorf("greeting %s: %w", address, err)
	}
	s.trace("the server says hello")
	if s.TLS == "implicit" || s.TLS == "none" || !encrypt {
		return nil
	}
	return s.startTLS()
}

func (s *session) startTLS() error {
	if offered, _ := s.smtp.Extension("STARTTLS"); !offered {
		if s.tlsRequired() {
			return fmt.Errorf("STARTTLS: %w", errNoTLS)
		}
		s.trace("no encryption: the server offers none")
		return nil
	}
	config, err := s.tlsConfig()
	if err != nil {
		return err
	}
	s.step()
	if err := s.smtp.StartTLS(config); err != nil {
		return s.handshakeError(err)
	}
	s.tls = true
	if state, ok := s.smtp.TLSConnectionState(); ok {
		s.traceTLS(state)
	}
	return nil
}

func (s *session) handshakeError(err error) error {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return fmt.Errorf("%w: %w", errCertificate, bad.Err)
	}
	return fmt.Errorf("%w: %w", errHandshake, err)
}

// tlsConfig verifies the certificate where a password is sent or encryption was asked
// for. Elsewhere it takes any: who could show a false one could as well hide that the
// server offers encryption, and then the mail would go in the clear.
func (s *session) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: strings.Trim(s.Server, "[]"), MinVersion: tls.VersionTLS12, InsecureSkipVerify: !s.strict}
	if s.CAFile == "" {
		return config, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	data, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca_file: %w", err)
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading ca_file: no certificate in %s", s.CAFile)
	}
	config.RootCAs = pool
	return config, nil
}

func (s *session) traceTLS(state tls.ConnectionState) {
	verified := "certificate verified"
	if !s.strict {
		verified = "certificate not verified"
	}
	s.trace("encrypted: %s, %s", tls.VersionName(state.Version), verified)
}

// authenticate logs in when a user is set.
func (s *session) authenticate() error {
	if s.User == "" {
		return nil
	}
	secret, err := s.Secret()
	if err != nil {
		return err
	}
	_, offered := s.smtp.Extension("AUTH")
	name, auth := s.mechanism(strings.Fields(strings.ToUpper(offered)), secret)
	if auth == nil {
		return fmt.Errorf("logging in: the server offers %q, and none of it can be used here", offered)
	}
	s.secret = secret
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

// transact sends the mail to all recipients that the server takes.
func (s *session) transact(to []string, message []byte) (map[string]error, error) {
	s.step()
	// Who asks for SMTPUTF8 needs it all the way: a relay bounces the mail where the next
	// server has none. Only addresses beyond ASCII are worth that; the rest is encoded.
	s.smtp.SkipSMTPUTF8(!slices.ContainsFunc(append([]string{s.From.Address}, to...), beyondASCII))
	if err := s.smtp.Mail("<" + s.From.Address + ">"); err != nil {
		if final(err) {
			return all(to, refused{fmt.Errorf("sender %s: %w", s.From.Address, err)}), nil
		}
		return nil, fmt.Errorf("sender %s: %w", s.From.Address, err)
	}
	s.trace("sender %s accepted", s.From.Address)
	result := map[string]error{}
	accepted := 0
	for _, recipient := range to {
		s.step()
		err := s.smtp.Rcpt("<" + recipient + ">")
		switch {
		case err == nil:
			accepted++
			s.trace("recipient %s accepted", recipient)
		case !reply(err):
			return nil, fmt.Errorf("recipient %s: %w", recipient, err)
		default:
			s.trace("recipient %s: %v", recipient, err)
			if err = fmt.Errorf("recipient %s: %w", recipient, err); final(err) {
				err = refused{err}
			}
		}
		result[recipient] = err
	}
	if accepted == 0 {
		return result, nil
	}
	return result, s.data(result, message)
}

// data sends the text and enters what comes of it for the accepted recipients.
func (s *session) data(result map[string]error, message []byte) error {
	s.step()
	w, err := s.smtp.Data()
	if err == nil {
		s.within(dataFactor)
		_ = s.conn.SetDeadline(s.end) // as in step
		if _, err = w.Write(message); err == nil {
			err = w.Close()
		}
	}
	switch {
	case err == nil:
		response := ""
		if d, ok := w.(*smtp.DataCloser); ok {
			response = cleanLine(d.ServerResponse())
		}
		s.trace("mail accepted: %s", response)
		s.step()
		_ = s.smtp.Quit() // the mail is the server's now
	case final(err):
		s.trace("mail refused: %v", err)
		for recipient, before := range result {
			if before == nil {
				result[recipient] = refused{fmt.Errorf("the mail: %w", err)}
			}
		}
	default:
		return fmt.Errorf("the mail: %w", err)
	}
	return nil
}

func beyondASCII(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
}

func all(to []string, err error) map[string]error {
	result := map[string]error{}
	for _, recipient := range to {
		result[recipient] = err
	}
	return result
}

// reply reports whether err is an answer of the server.
func reply(err error) bool {
	var answer *textproto.Error
	return errors.As(err, &answer)
}

// final reports whether err is an answer that means never. What says that we did not log
// in as we should (RFC 4954, RFC 3207) is a fault in the settings, not in the mail.
func final(err error) bool {
	var answer *textproto.Error
	if !errors.As(err, &answer) || answer.Code < 500 {
		return false
	}
	switch answer.Code {
	case 530, 534, 535, 538:
		return false
	}
	return true
}
