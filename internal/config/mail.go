package config

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
)

// Mail is how email-notification sends. A value that is not set is ossec.conf's.
type Mail struct {
	To       []string `toml:"to"`
	From     string   `toml:"from"`
	ReplyTo  string   `toml:"reply_to"`
	IDSName  string   `toml:"ids_name"`    // header X-IDS-OSSEC
	Server   string   `toml:"smtp_server"` // host name, address, or absolute path of a sendmail program and its arguments
	Port     int      `toml:"smtp_port"`   // 0: 465 for tls = "implicit", 587 with a user, else 25
	User     string   `toml:"smtp_user"`
	Password string   `toml:"password_file"` // holds the password; mode 0600
	Auth     string   `toml:"auth"`          // auto, or the one mechanism to use
	TLS      string   `toml:"tls"`           // auto, starttls, implicit, none
	Verify   string   `toml:"tls_verify"`    // "", yes, no
	CAFile   string   `toml:"ca_file"`       // trusted beside the system's own
	HELO     string   `toml:"helo"`

	MaxPerHour int         `toml:"max_per_hour"` // 0: ossec.conf's email_maxperhour
	Coalesce   Duration    `toml:"coalesce"`     // at most one mail on one address in this time
	OnDelete   bool        `toml:"on_delete"`    // announce the end of a block too
	Routes     []MailRoute `toml:"route"`

	Subject string `toml:"subject_template"` // files with Go templates
	Text    string `toml:"text_template"`
	HTML    string `toml:"html_template"`

	ReverseName bool     `toml:"reverse_name"`
	GeoFiles    []string `toml:"geo_files"` // in MaxMind's format

	Timeout Duration `toml:"timeout"` // of one step of the dialogue with the server
	// Linger is how long the deliverer waits for what falls due next before it leaves
	// the rest to `flush`.
	Linger Duration `toml:"linger"`
}

// MailRoute sends some notifications to others too. What it does not name it does not
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
		Auth: "auto", TLS: "auto", Coalesce: Duration{time.Minute}, ReverseName: true,
		Timeout: Duration{time.Minute}, Linger: Duration{2 * time.Minute},
	}
}

// MailAuths are the values of mail.auth.
var MailAuths = []string{"auto", "none", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"}

// check returns what is wrong and puts the default, or nothing, in its place.
func (m *Mail) check(choice func(table, key string, value *string, fallback string, choices ...string), positive func(table, key string, value *Duration, fallback Duration)) []fault {
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
	m.To = goodAddresses(m.To, func(err error) { wrong("to", "%w", err) })
	m.From = goodAddress(m.From, func(err error) { wrong("from", "%w", err) })
	m.ReplyTo = goodAddress(m.ReplyTo, func(err error) { wrong("reply_to", "%w", err) })
	var routes []MailRoute
	for i, r := range m.Routes {
		if r.To = goodAddresses(r.To, func(err error) { wrong("route", "number %d: to: %w", i+1, err) }); len(r.To) == 0 {
			wrong("route", "number %d: to: no recipient", i+1)
			continue
		}
		routes = append(routes, r)
	}
	m.Routes = routes
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

func goodAddresses(list []string, bad func(error)) []string {
	var good []string
	for _, text := range list {
		if text = goodAddress(text, bad); text != "" {
			good = append(good, text)
		}
	}
	return good
}

// goodAddress returns text if it is "" or a mail address, with or without a name.
func goodAddress(text string, bad func(error)) string {
	if text == "" {
		return ""
	}
	if _, err := MailAddress(text); err != nil {
		bad(err)
		return ""
	}
	return text
}

// MailAddress reads one mail address. It is stricter than net/mail: what could be taken
// for an option, or for more than one line, by a mail program is refused.
func MailAddress(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no mail address: %w", clipText(text), err)
	}
	for _, c := range a.Address {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`"<>,;|`, c) {
			return nil, fmt.Errorf("%q is no mail address that can be used: %q in it", clipText(text), c)
		}
	}
	if strings.HasPrefix(a.Address, "-") {
		return nil, fmt.Errorf("%q is no mail address that can be used: it begins with '-'", clipText(text))
	}
	return a, nil
}

func clipText(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
