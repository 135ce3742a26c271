// Package mail sends a composed message: by SMTP, or by a sendmail program. It takes its
// settings from ossec.conf's <global> and, above it, [mail] of active-response.toml. What a
// server says is bounded and made printable, the password is shown to nobody but the server
// that it belongs to, and no server keeps the sender for longer than a deadline.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

var (
	errCertificate = errors.New("the server's certificate is not to be trusted")
	errNoTLS       = errors.New("the server does not offer the encryption that is required")
)

// refusedError is why the server does not want a message, or a recipient, now or later.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// Permanent reports that another attempt is of no use.
func (refusedError) Permanent() bool { return true }

// dialogFactor is how much longer than one step all may take until the text is sent: a
// server that is just quick enough at every step must not keep the queue for ever.
const dialogFactor = 2

// dataFactor is how much longer than any other step the server may take to accept the
// mail when it has been sent whole: giving up then would send it twice (RFC 5321,
// 4.5.3.2.6).
const dataFactor = 5

// session is one dialogue with the server.
type session struct {
	*Settings
	conn  net.Conn
	end   time.Time // of all steps
	smtp  *smtp.Client
	tls   bool
	trace func(format string, args ...any)
	sent  bool // the password, or it is about to be
}

// within gives all that comes next its time.
func (s *session) within(factor time.Duration) {
	s.end = time.Now().Add(factor * s.Timeout.Duration)
}

// step gives the next step its time, of what is left.
func (s *session) step() {
	// A closed connection fails at the next step.
	_ = s.conn.SetDeadline(earlier(time.Now().Add(s.Timeout.Duration), s.end))
}

// TotalTime bounds Send, whatever the server does.
func (s *Settings) TotalTime() time.Duration {
	return (2*dialogFactor + dataFactor) * s.Timeout.Duration
}

// Send hands one message to the server. The error is of the server as a whole, and another attempt
// makes sense; without one the map has what came of each recipient: nil, it is accepted; Permanent,
// refused for good; else deferred. trace gets each step on a line.
func (s *Settings) Send(
	ctx context.Context, to []string, message []byte, trace func(line string),
) (map[string]error, error) {
	dialogue := s.session(trace)
	result, err := dialogue.send(ctx, to, message)
	for recipient, err := range result {
		result[recipient] = dialogue.presentable(err)
	}
	return result, dialogue.presentable(err)
}

func (s *Settings) session(trace func(line string)) *session {
	d := &session{Settings: s}
	d.trace = func(format string, args ...any) {
		trace(printable.Line(d.withoutSecret(fmt.Sprintf(format, args...))))
	}
	return d
}

// Reach connects to the server as Send does, without logging in or sending anything.
func (s *Settings) Reach(ctx context.Context) error {
	dialogue := s.session(func(string) {})
	err := dialogue.connect(ctx)
	if err == nil {
		defer dialogue.conn.Close() // nothing was sent
		dialogue.step()
		_ = dialogue.smtp.Quit() // politeness only
	}
	return dialogue.presentable(err)
}

func (s *session) send(ctx context.Context, to []string, message []byte) (map[string]error, error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	defer s.conn.Close() // after QUIT there is nothing to lose
	if err := s.authenticate(); err != nil {
		return nil, err
	}
	return s.transact(to, message)
}

// connect opens the dialogue, without encryption where that is optional and broken.
func (s *session) connect(ctx context.Context) error {
	s.within(dialogFactor)
	err := s.open(ctx, true)
	if errors.Is(err, errHandshake) && !s.tlsRequired() && !s.Strict {
		s.trace("encryption: %v; going on without", err)
		err = s.open(ctx, false)
	}
	return err
}

// errHandshake says that the server offers encryption but it could not be set up.
var errHandshake = errors.New("setting up encryption")

func (s *session) tlsRequired() bool {
	return s.TLS == "starttls" || s.TLS == "implicit" || s.TLS == "auto" && s.User != "" && !s.loopback()
}

// open connects, says hello, and encrypts as far as the settings and the server go.
func (s *session) open(ctx context.Context, encrypt bool) (err error) {
	address := net.JoinHostPort(strings.Trim(s.Server, "[]"), strconv.Itoa(s.Port))
	dialer := net.Dialer{Timeout: s.Timeout.Duration, Deadline: s.end}
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
	config := &tls.Config{
		ServerName: strings.Trim(s.Server, "[]"), MinVersion: tls.VersionTLS12, InsecureSkipVerify: !s.Strict,
	}
	if s.CAFile == "" {
		return config, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(s.CA) {
		return nil, fmt.Errorf("no certificate in ca_file: %s", s.CAFile)
	}
	config.RootCAs = pool
	return config, nil
}

func (s *session) traceTLS(state tls.ConnectionState) {
	verified := "certificate verified"
	if !s.Strict {
		verified = "certificate not verified"
	}
	s.trace("encrypted: %s, %s", tls.VersionName(state.Version), verified)
}

// transact sends the mail to all recipients that the server takes.
func (s *session) transact(to []string, message []byte) (map[string]error, error) {
	s.step()
	// Who asks for SMTPUTF8 needs it all the way: a relay bounces the mail where the next
	// server has none. Only addresses beyond ASCII are worth that; the rest is encoded.
	s.smtp.SkipSMTPUTF8(!slices.ContainsFunc(append([]string{s.Sender.Address}, to...), beyondASCII))
	if err := s.smtp.Mail("<" + s.Sender.Address + ">"); err != nil {
		if final(err) {
			return all(to, refusedError{fmt.Errorf("sender %s: %w", s.Sender.Address, err)}), nil
		}
		return nil, fmt.Errorf("sender %s: %w", s.Sender.Address, err)
	}
	s.trace("sender %s accepted", s.Sender.Address)
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
				err = refusedError{err}
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
			response = printable.Line(d.ServerResponse())
		}
		s.trace("mail accepted: %s", response)
		s.step()
		_ = s.smtp.Quit() // the mail is the server's now
	case final(err):
		s.trace("mail refused: %v", err)
		for recipient, before := range result {
			if before == nil {
				result[recipient] = refusedError{fmt.Errorf("the mail: %w", err)}
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

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
