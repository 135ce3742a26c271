package mail

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// defaultPerHour is OSSEC's own, when email_maxperhour is unset.
const defaultPerHour = 12

// Settings is how mail is sent: [mail] of active-response.toml, filled from <global> of
// ossec.conf. Its recipients are bare addresses.
type Settings struct {
	config.Mail
	Sender *netmail.Address
	Reply  *netmail.Address // nil for none
	Host   string           // of this machine
	Unset  error            `json:"-"` // config.ErrMailUnset when nothing can be sent

	Arguments []string // of the program that is the server
	Secret    string   // the password
	CA        []byte   // what is in ca_file
	Strict    bool     // the server's certificate must be good

	foreign bool // others than root can change ossec.conf: nothing of it is repeated
}

// Load reads ossec.conf and puts c above it. The Settings are usable even when there is an
// error: what is broken counts as not set.
func Load(home ossec.Home, c config.Mail) (*Settings, error) {
	s := &Settings{Mail: c, Host: hostName()}
	var faults []error
	base, err := ossec.ReadMail(home.Conf())
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ossec.ErrBrokenConf) {
		faults = append(faults, err)
	}
	faults = append(faults, base.Faults...)
	if err := state.Trusted(home.Conf()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.foreign = true
		faults = append(faults, s.distrust(&base, home, err))
	}
	s.fill(base)
	faults = append(faults, s.addresses(), s.server())
	s.Unset = config.MailUnset(s.Server, len(s.To)+len(s.Routes))
	s.defaults()
	faults = append(faults, s.Unset, s.readPassword(), s.readCA())
	return s, errors.Join(faults...)
}

// distrust takes out of an ossec.conf that others than root can change, by why, what would have this
// process run a program or send a secret of root's elsewhere.
func (s *Settings) distrust(base *ossec.Mail, home ossec.Home, why error) error {
	program := strings.HasPrefix(base.Server, "/")
	switch {
	case s.Server != "": // it is root's, and so is how to talk to it
		*base = ossec.Mail{To: base.To, From: base.From, ReplyTo: base.ReplyTo, IDSName: base.IDSName,
			MaxPerHour: base.MaxPerHour}
	case program:
		base.Server = ""
		return fmt.Errorf("a mail program in %s is not run: %w: name it in [mail] smtp_server of %s",
			home.Conf(), why, home.Settings())
	case s.Mail.Password != "" && base.Server != "":
		s.Mail.Password = ""
		return fmt.Errorf("password_file is not sent to a mail server that %s names: %w: name it in [mail] "+
			"smtp_server of %s", home.Conf(), why, home.Settings())
	}
	return nil
}

// fill takes from ossec.conf what [mail] leaves open.
func (s *Settings) fill(base ossec.Mail) {
	if len(s.To) == 0 {
		s.To = base.To
	}
	s.From = cmp.Or(s.From, base.From)
	s.ReplyTo = cmp.Or(s.ReplyTo, base.ReplyTo)
	s.IDSName = cmp.Or(s.IDSName, base.IDSName)
	s.HELO = cmp.Or(s.HELO, base.HELO)
	s.Server = cmp.Or(s.Server, base.Server)
	s.Port = cmp.Or(s.Port, base.Port)
	s.MaxPerHour = cmp.Or(s.MaxPerHour, base.MaxPerHour, defaultPerHour)
	s.Secret = base.Password
	if base.Auth {
		s.User = cmp.Or(s.User, base.User)
	}
	if s.Auth == "none" {
		s.User = ""
	}
	if s.TLS == "auto" && base.Secure {
		s.TLS = "starttls"
		if s.Port == portImplicit {
			s.TLS = "implicit"
		}
	}
	if s.Verify == "" && base.Verify != nil {
		s.Verify = "no"
		if *base.Verify {
			s.Verify = "yes"
		}
	}
}

// addresses parses all mail addresses and drops the broken ones.
func (s *Settings) addresses() error {
	var faults []error
	parse := func(what, text string) *netmail.Address {
		a, err := ParseAddress(s.whole(text))
		if err != nil && s.foreign {
			err = errNoAddress
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
		return a
	}
	bare := func(list []string) (to []string) {
		for _, text := range list {
			if a := parse("recipient", text); a != nil {
				to = append(to, a.Address)
			}
		}
		return to
	}
	s.To = bare(s.To)
	routes := s.Routes
	s.Routes = nil
	for _, r := range routes {
		if r.To = bare(r.To); len(r.To) > 0 {
			s.Routes = append(s.Routes, r)
		}
	}
	if s.ReplyTo != "" {
		s.Reply = parse("address to reply to", s.ReplyTo)
	}
	if s.From != "" {
		s.Sender = parse("sender", s.From)
	}
	if s.Sender == nil {
		s.Sender = &netmail.Address{Name: "OSSEC", Address: "ossec@" + s.Host}
	}
	return errors.Join(faults...)
}

var errNoAddress = errors.New("no mail address")

// whole returns an address as OSSEC takes it: packages write the sender with a final dot, and one
// without a domain is of this host.
func (s *Settings) whole(text string) string {
	text = strings.TrimSuffix(strings.Replace(text, ".>", ">", 1), ".")
	if text != "" && !strings.ContainsAny(text, "@<> ") {
		text += "@" + s.Host
	}
	return text
}

// ParseAddress reads one mail address. It is stricter than net/mail: what could be taken
// for an option, or for more than one line, by a mail program is refused.
func ParseAddress(text string) (*netmail.Address, error) {
	quoted := clip(text)
	a, err := netmail.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no mail address: %w", quoted, err)
	}
	for _, c := range a.Address {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`"<>,;|`, c) {
			return nil, fmt.Errorf("%q is no mail address that can be used: %q in it", quoted, c)
		}
	}
	if strings.HasPrefix(a.Address, "-") {
		return nil, fmt.Errorf("%q is no mail address that can be used: it begins with '-'", quoted)
	}
	return a, nil
}

const (
	portRelay    = 25
	portSubmit   = 587
	portImplicit = 465 // RFC 8314
)

// server takes the server apart: a program and its arguments, or a host and its port.
func (s *Settings) server() (err error) {
	if s.Program() {
		s.Server, s.Arguments, err = ossec.MailProgram(s.Server)
		return err
	}
	if strings.ContainsFunc(s.Server, func(r rune) bool { return notInHost(r) || r == '/' || r == '@' }) {
		err = fmt.Errorf("the mail server %sis neither a host nor the absolute path of a program",
			s.shown(s.Server))
		s.Server = ""
	}
	if host, port, ok := strings.Cut(s.Server, ":"); ok && !strings.Contains(port, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			s.Server, s.Port = host, int(n)
		}
	}
	if strings.ContainsFunc(s.HELO, notInHost) {
		err = errors.Join(err, fmt.Errorf("the name for HELO %shas characters that no host name has",
			s.shown(s.HELO)))
		s.HELO = ""
	}
	return err
}

// shown returns a value in quotes, with a space behind it, if it may be repeated.
func (s *Settings) shown(text string) string {
	if s.foreign {
		return ""
	}
	return strconv.Quote(clip(text)) + " "
}

// defaults derives what follows from the rest.
func (s *Settings) defaults() {
	s.HELO = cmp.Or(s.HELO, s.Host)
	if s.TLS == "auto" && s.Port == portImplicit {
		s.TLS = "implicit"
	}
	if s.Port == 0 {
		switch {
		case s.TLS == "implicit":
			s.Port = portImplicit
		case s.User != "":
			s.Port = portSubmit
		default:
			s.Port = portRelay
		}
	}
	s.Strict = s.Verify == "yes" ||
		s.Verify == "" && (s.User != "" && !s.loopback() || s.TLS == "starttls" || s.TLS == "implicit")
}

// Program reports whether the server is a program.
func (s *Settings) Program() bool { return strings.HasPrefix(s.Server, "/") }

// Way returns by what mail goes, for people.
func (s *Settings) Way() string {
	if s.Program() {
		return s.Server
	}
	return fmt.Sprintf("%s, port %d", s.Server, s.Port)
}

// Check returns what keeps mail from being sent though the settings are well formed: a program that
// is missing. It connects to nothing.
func (s *Settings) Check() error {
	if s.Program() {
		return errors.Join(executable(s.Server), arguments(s.Arguments))
	}
	return nil
}

// loopback reports whether the server is on this machine, so that nobody stands between.
func (s *Settings) loopback() bool {
	addr, err := netip.ParseAddr(s.Server)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(s.Server, "localhost")
}

// errPassword says that the password cannot be used.
var errPassword = errors.New("the password cannot be used")

// maxPassword bounds the password file in bytes.
const maxPassword = 4096

// readPassword reads password_file, which nobody but its owner may be able to read; without one the
// password is ossec.conf's.
func (s *Settings) readPassword() error {
	path := s.Mail.Password
	if path == "" {
		return nil
	}
	var err error
	if s.Secret, err = state.ReadSecret(path, maxPassword); err != nil {
		return fmt.Errorf("reading the password: %w: %w", err, errPassword)
	}
	return nil
}

// maxCertificates bounds ca_file, in bytes.
const maxCertificates = 4 << 20

// readCA reads ca_file. What is wrong with it shows when it is needed, too.
func (s *Settings) readCA() (err error) {
	if s.CAFile == "" {
		return nil
	}
	s.CA, err = state.ReadTrusted(s.CAFile, maxCertificates)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(s.CA) {
		err = errors.New("no certificate in it")
	}
	if err != nil {
		return fmt.Errorf("reading ca_file: %w", err)
	}
	return nil
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.ContainsFunc(name, notInHost) ||
		strings.ContainsAny(name, `"<>,;@()`) {
		return "localhost"
	}
	return name
}

// notInHost reports characters that stand in no host name, however it is written.
func notInHost(r rune) bool { return r <= ' ' || r >= 0x7f }

func clip(text string) string { return printable.Clip(text, 80) }

// Failure is an error as it is passed from one process to another.
type Failure struct {
	Text  string `json:"text"`
	Final bool   `json:"final,omitempty"`
	Kind  string `json:"kind,omitempty"` // "certificate" or "encryption", of which there is more to say
}

// Pass makes a Failure of an error, nil of nil.
func Pass(err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Text: err.Error(), Final: errors.As(err, new(refusedError))}
	switch {
	case errors.Is(err, errCertificate):
		f.Kind = "certificate"
	case errors.Is(err, errNoTLS):
		f.Kind = "encryption"
	}
	return f
}

// Error is what can be shown of it, whoever passed it.
func (f *Failure) Error() string { return printable.Lines(printable.Clip(f.Text, maxAnswer)) }

// Permanent reports that another attempt is of no use.
func (f *Failure) Permanent() bool { return f.Final }

// Hint returns advice on an error, "" for none.
func Hint(err error) string {
	var f *Failure
	switch {
	case errors.Is(err, errPassword):
		return state.SecretHint(err)
	case !errors.As(err, &f):
		return config.MailHint(err)
	case f.Kind == "certificate":
		return "set ca_file in [mail] to the certificate of who signed it, or smtp_tls_verify to no when the way " +
			"to the server is safe"
	case f.Kind == "encryption":
		return "set secure_smtp to no, or tls = \"none\" in [mail], only when the way to the server is safe"
	}
	return ""
}
