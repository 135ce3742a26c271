package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mail is how email-notification sends. A value that is not set is ossec.conf's. Mail
// addresses are not checked here: only who sends needs that, and the code for it.
type Mail struct {
	To      []string `toml:"to"`
	From    string   `toml:"from"`
	ReplyTo string   `toml:"reply_to"`
	IDSName string   `toml:"ids_name"` // header X-IDS-OSSEC
	// host name, address, or path of a sendmail program and its arguments
	Server   string `toml:"smtp_server"`
	Port     int    `toml:"smtp_port"` // 0: 465 for tls = "implicit", 587 with a user, else 25
	User     string `toml:"smtp_user"`
	Password string `toml:"password_file"` // holds the password; mode 0600
	Auth     string `toml:"auth"`          // auto, or the one mechanism to use
	TLS      string `toml:"tls"`           // auto, starttls, implicit, none
	Verify   string `toml:"tls_verify"`    // "", yes, no
	CAFile   string `toml:"ca_file"`       // trusted beside the system's own
	HELO     string `toml:"helo"`

	MaxPerHour int         `toml:"max_per_hour"` // 0: ossec.conf's email_maxperhour
	Coalesce   Duration    `toml:"coalesce"`     // at most one mail on one address in this time
	OnDelete   bool        `toml:"on_delete"`    // announce the end of a block too
	OnFailure  bool        `toml:"on_failure"`   // mail what maintain could not block either
	Routes     []MailRoute `toml:"route"`

	Subject string `toml:"subject_template"` // files with Go templates
	Text    string `toml:"text_template"`
	HTML    string `toml:"html_template"`

	ReverseName bool     `toml:"reverse_name"`
	GeoFiles    []string `toml:"geo_files"` // in MaxMind's format

	Timeout Duration `toml:"timeout"` // of one step of the dialogue with the server
	// Linger is how long the deliverer waits for what falls due next before it leaves
	// the rest to `ossec-ar maintain`.
	Linger Duration `toml:"linger"`
}

// MailRoute sends some notices to others too. What it does not name it does not
// ask for; what it names must all be so.
type MailRoute struct {
	To     []string `toml:"to"`
	Rules  []string `toml:"rules"`
	Groups []string `toml:"groups"`
	Level  int      `toml:"level"` // and up
	// Only keeps these from the general recipients.
	Only bool `toml:"only"`
}

func defaultMail() Mail {
	return Mail{
		Auth: "auto", TLS: "auto", Coalesce: Duration{time.Minute}, OnFailure: true, ReverseName: true,
		Timeout: Duration{time.Minute}, Linger: Duration{2 * time.Minute},
	}
}

// MailAuths are the values of mail.auth.
var MailAuths = []string{"auto", "none", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"}

// check returns what is wrong and puts the default, or nothing, in its place.
func (m *Mail) check(
	choice func(table, key string, value *string, fallback string, choices ...string),
	positive func(table, key string, value *Duration, fallback Duration),
) []fault {
	var faults []fault
	wrong := func(key, format string, args ...any) {
		faults = append(faults, fault{"mail", key, fmt.Errorf(format, args...)})
	}
	def := defaultMail()
	choice("mail", "auth", &m.Auth, def.Auth, MailAuths...)
	choice("mail", "tls", &m.TLS, def.TLS, "auto", "starttls", "implicit", "none")
	if m.Verify != "" {
		choice("mail", "tls_verify", &m.Verify, "", "yes", "no")
	}
	positive("mail", "timeout", &m.Timeout, def.Timeout)
	notNegative := func(key string, d *Duration) {
		if d.Duration < 0 {
			wrong(key, "%q is less than zero", d.String())
			*d = Duration{}
		}
	}
	notNegative("coalesce", &m.Coalesce)
	notNegative("linger", &m.Linger)
	if m.Port < 0 || m.Port > 65535 {
		wrong("smtp_port", "%d is no port number", m.Port)
		m.Port = 0
	}
	if m.MaxPerHour < 0 {
		wrong("max_per_hour", "%d is less than zero", m.MaxPerHour)
		m.MaxPerHour = 0
	}
	for i, r := range m.Routes {
		if len(r.To) == 0 {
			wrong("route", "number %d: to: no recipient", i+1)
		}
	}
	m.Routes = slices.DeleteFunc(m.Routes, func(r MailRoute) bool { return len(r.To) == 0 })
	absolute := func(key string, path *string) {
		if *path != "" && !strings.HasPrefix(*path, "/") {
			wrong(key, "%q is no absolute path", *path)
			*path = ""
		}
	}
	absolute("password_file", &m.Password)
	absolute("ca_file", &m.CAFile)
	absolute("subject_template", &m.Subject)
	absolute("text_template", &m.Text)
	absolute("html_template", &m.HTML)
	return faults
}

// ErrMailUnset says that it is not known to whom, or by which server, mail goes.
var ErrMailUnset = errors.New("mail is not set up")

// MailUnset returns what is missing for mail to go anywhere, ErrMailUnset among it, or nil.
func MailUnset(server string, recipients int) error {
	switch {
	case server == "" && recipients == 0:
		return fmt.Errorf("%w: neither a recipient nor a mail server", ErrMailUnset)
	case server == "":
		return fmt.Errorf("%w: no mail server", ErrMailUnset)
	case recipients == 0:
		return fmt.Errorf("%w: no recipient", ErrMailUnset)
	}
	return nil
}

// Recipients returns who gets a notice about that rule, each once and in order. Addresses
// are those of To and Routes, unchanged.
func (m *Mail) Recipients(ruleID string, level int, groups []string) []string {
	var to []string
	general := true
	for _, r := range m.Routes {
		inGroup := slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(groups, g) })
		if level < r.Level || len(r.Rules) > 0 && !slices.Contains(r.Rules, ruleID) ||
			len(r.Groups) > 0 && !inGroup {
			continue
		}
		to = append(to, r.To...)
		general = general && !r.Only
	}
	if general {
		to = append(to, m.To...)
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// General returns who gets mail that is about no rule, as Recipients does. Without anybody the error
// is ErrMailUnset.
func (m *Mail) General() ([]string, error) {
	to := m.Recipients("", 0, nil)
	if len(to) == 0 {
		return nil, fmt.Errorf("%w: all recipients are those of single rules, groups or levels", ErrMailUnset)
	}
	return to, nil
}

// MailHint returns advice on an error about mail that is not set up, "" for others.
func MailHint(err error) string {
	if !errors.Is(err, ErrMailUnset) {
		return ""
	}
	return "set <email_to> and <smtp_server> in <global> of ossec.conf, or to and smtp_server in [mail] " +
		"of active-response.toml; then try `ossec-ar mail test`"
}
