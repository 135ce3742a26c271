package notify

import (
	"errors"
	"fmt"
	"io"
	"net/mail"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// ErrNotSet says that it is not known to whom, or by which server, to send.
var ErrNotSet = errors.New("mail is not set up")

// defaultMaxPerHour is OSSEC's own, when email_maxperhour is unset.
const defaultMaxPerHour = 12

// Settings is how mail is sent: ossec.conf's <global>, and over it [mail] of
// active-response.toml.
type Settings struct {
	config.Mail
	To      []*mail.Address
	From    *mail.Address
	ReplyTo *mail.Address // nil for none
	Host    string        // of this machine
	// arguments are what stands after the path of the program that is the server.
	arguments []string
	// Password comes from ossec.conf; the file that config.Mail names stands before it.
	password string
	strict   bool  // the server's certificate must be good
	notSet   error // is ErrNotSet when nothing can be sent
}

// LoadSettings reads ossec.conf and lays c over it. The Settings are usable even when
// there is an error: what is broken counts as not set. ErrNotSet among the errors says
// that nothing can be sent by them.
func LoadSettings(home ossec.Home, c config.Mail) (Settings, error) {
	s := Settings{Mail: c, Host: hostName()}
	var faults []error
	base, err := ossec.ReadMail(home.Conf())
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ossec.ErrBrokenConf) {
		faults = append(faults, err)
	}
	faults = append(faults, base.Faults...)
	s.over(base)
	address := func(what, text string) *mail.Address {
		if text == "" {
			return nil
		}
		a, err := config.MailAddress(text)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
			return nil
		}
		return a
	}
	for _, text := range s.Mail.To {
		if a := address("recipient", text); a != nil {
			s.To = append(s.To, a)
		}
	}
	s.ReplyTo = address("address to reply to", s.Mail.ReplyTo)
	if s.From = address("sender", s.Mail.From); s.From == nil {
		s.From = &mail.Address{Name: "OSSEC", Address: "ossec@" + s.Host}
	}
	faults = append(faults, s.complete()...)
	return s, errors.Join(faults...)
}

// over fills what the configuration leaves open with what ossec.conf has.
func (s *Settings) over(base ossec.Mail) {
	if len(s.Mail.To) == 0 {
		s.Mail.To = base.To
	}
	fill := func(value *string, from string) {
		if *value == "" {
			*value = from
		}
	}
	fill(&s.Mail.From, base.From)
	fill(&s.Mail.ReplyTo, base.ReplyTo)
	fill(&s.IDSName, base.IDSName)
	fill(&s.HELO, base.HELO)
	fill(&s.Server, base.Server)
	if s.Port == 0 {
		s.Port = base.Port
	}
	s.password = base.Password
	if base.Auth {
		fill(&s.User, base.User)
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
	if s.MaxPerHour == 0 {
		s.MaxPerHour = base.MaxPerHour
	}
	if s.MaxPerHour == 0 {
		s.MaxPerHour = defaultMaxPerHour
	}
}

const (
	portRelay    = 25
	portSubmit   = 587
	portImplicit = 465 // RFC 8314
)

// complete derives what follows from the rest and tells what is missing.
func (s *Settings) complete() []error {
	var faults []error
	if s.sendmail() {
		path, args, err := ossec.MailProgram(s.Server)
		if err != nil {
			faults = append(faults, err)
		}
		s.Server, s.arguments = path, args
	} else if strings.ContainsFunc(s.Server, func(r rune) bool { return r <= ' ' || r == '/' || r == '@' || r >= 0x7f }) {
		faults = append(faults, fmt.Errorf("the mail server %q is neither a host nor the absolute path of a program", clip(s.Server, 80)))
		s.Server = ""
	}
	switch recipients := len(s.To) + len(s.Routes); {
	case s.Server == "" && recipients == 0:
		s.notSet = fmt.Errorf("%w: neither a recipient nor a mail server", ErrNotSet)
	case s.Server == "":
		s.notSet = fmt.Errorf("%w: no mail server", ErrNotSet)
	case recipients == 0:
		s.notSet = fmt.Errorf("%w: no recipient", ErrNotSet)
	}
	if s.notSet != nil {
		faults = append(faults, s.notSet)
	}
	if host, port, ok := strings.Cut(s.Server, ":"); ok && !s.sendmail() && !strings.Contains(port, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			s.Server, s.Port = host, int(n)
		}
	}
	if strings.ContainsFunc(s.HELO, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		faults = append(faults, fmt.Errorf("the name for HELO %q has characters in it that no host name has", clip(s.HELO, 80)))
		s.HELO = ""
	}
	if s.HELO == "" {
		s.HELO = s.Host
	}
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
	s.strict = s.Verify == "yes" || s.Verify == "" && (s.User != "" && !s.loopback() || s.TLS == "starttls" || s.TLS == "implicit")
	if _, err := s.Secret(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// sendmail reports whether the server is a program.
func (s *Settings) sendmail() bool { return strings.HasPrefix(s.Server, "/") }

// loopback reports whether the server is on this machine, so that nobody stands between.
func (s *Settings) loopback() bool {
	addr, err := netip.ParseAddr(s.Server)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(s.Server, "localhost")
}

// errPassword says that the password is not to be had.
var errPassword = errors.New("the password cannot be used")

// maxPassword bounds the password file in bytes.
const maxPassword = 4096

// Secret returns the password: from password_file, which nobody but its owner may be
// able to read, or ossec.conf's.
func (s *Settings) Secret() (string, error) {
	if s.Mail.Password == "" {
		return s.password, nil
	}
	path := s.Mail.Password
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("reading the password: %w: %w", err, errPassword)
	}
	defer file.Close() // only read from
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the password: %w: %w", err, errPassword)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("password file %s is no plain file: %w", path, errPassword)
	case !ours(info):
		return "", fmt.Errorf("password file %s belongs to another user: %w", path, errPassword)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("password file %s can be read by others (mode %04o): %w", path, info.Mode().Perm(), errPassword)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w: %w", err, errPassword)
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if len(data) > maxPassword || secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("password file %s does not hold one line: %w", path, errPassword)
	}
	return secret, nil
}

// ours reports whether a file belongs to this process's user or to root.
func ours(info os.FileInfo) bool {
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	return owner == os.Geteuid() || owner == 0
}

// Recipients returns who gets a notification about that rule, each once.
func (s *Settings) Recipients(ruleID string, level int, groups []string) []string {
	var to []string
	add := func(list ...string) {
		for _, a := range list {
			if !slices.Contains(to, a) {
				to = append(to, a)
			}
		}
	}
	general := true
	for _, r := range s.Routes {
		if level < r.Level || len(r.Rules) > 0 && !slices.Contains(r.Rules, ruleID) ||
			len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			continue
		}
		for _, text := range r.To {
			if a, err := config.MailAddress(text); err == nil { // checked when the configuration was read
				add(a.Address)
			}
		}
		general = general && !r.Only
	}
	if general {
		for _, a := range s.To {
			add(a.Address)
		}
	}
	slices.Sort(to)
	return to
}

// general returns who gets a mail that is about no rule. Without anybody the error is
// ErrNotSet.
func (s *Settings) general() ([]string, error) {
	to := s.Recipients("", 0, nil)
	if len(to) == 0 {
		return nil, fmt.Errorf("%w: all recipients are those of single rules, groups or levels", ErrNotSet)
	}
	return to, nil
}

// stepTimeout bounds one step of the dialogue.
func (s *Settings) stepTimeout() time.Duration { return s.Timeout.Duration }

func hostName() string {
	name, err := os.Hostname()
	if err != nil || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"<>,;@()`, r) }) || name == "" {
		return "localhost"
	}
	return name
}

// Hint gives advice on an error.
func Hint(err error) string {
	switch {
	case errors.Is(err, ErrNotSet):
		return "set <email_to> and <smtp_server> in <global> of etc/ossec.conf, or to and smtp_server in [mail] of etc/active-response.toml; then try `email-notification test`"
	case errors.Is(err, errPassword):
		return "make it readable by its owner alone: chown root FILE && chmod 0600 FILE"
	case errors.Is(err, errCertificate):
		return "set ca_file in [mail] to the certificate of who signed it, or smtp_tls_verify to no when the way to the server is safe"
	case errors.Is(err, errNoTLS):
		return "set secure_smtp to no, or tls = \"none\" in [mail], only when the way to the server is safe"
	}
	return ""
}
