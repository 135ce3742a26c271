// Package chat hands a message to a chat or paging service, by shoutrrr. The URL of a service is a
// secret: no error of this package has it, or any text of the service or of a library, in which it
// could be repeated. What an attacker wrote makes no mention, link or markup in a message.
package chat

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Service is where messages go.
type Service struct {
	URL   string // a secret
	Proxy string
	CA    []byte // what is in ca_file
}

// Message is what a service gets. Its texts are printable.
type Message struct {
	Title, Text string
	Event       string // block, unblock, failure, report
	Host        string // of this machine
	Address     string // "" when it is about none, or several
	Rule        string
	Level       int
}

const (
	maxURL          = 8192
	maxCertificates = 4 << 20
)

// Load reads the files of a service, which nobody but root may be able to change, or to read that of
// the URL. url is that of the call, where the service is one whose URL comes with it.
func Load(c config.Chat, url string) (s Service, err error) {
	s = Service{URL: url, Proxy: c.Proxy}
	if c.URLFile != "" {
		if s.URL, err = state.ReadSecret(c.URLFile, maxURL); err != nil {
			return s, fmt.Errorf("reading url_file: %w: %w", err, errFile)
		}
	}
	if c.CAFile == "" {
		return s, nil
	}
	s.CA, err = state.ReadTrusted(c.CAFile, maxCertificates)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(s.CA) {
		err = errors.New("no certificate in it")
	}
	if err != nil {
		return s, fmt.Errorf("reading ca_file: %w", err)
	}
	return s, nil
}

var errFile = errors.New("the URL cannot be used")

// Failure is why a service did not get a message, as it is passed from one process to another.
type Failure struct {
	Text  string        `json:"text"`
	Final bool          `json:"final,omitempty"`
	After time.Duration `json:"after,omitempty"` // the service wants to be asked no sooner
}

// maxText bounds a Failure, in bytes.
const maxText = 300

// Error is what can be shown of it, whoever passed it.
func (f *Failure) Error() string { return printable.Line(printable.Clip(f.Text, maxText)) }

// Permanent reports that another attempt is of no use.
func (f *Failure) Permanent() bool { return f.Final }

// RetryAfter returns how long the service wants to be left alone, 0 when it did not say.
func (f *Failure) RetryAfter() time.Duration { return f.After }

// Hint returns advice on an error, "" for none.
func Hint(err error) string {
	if errors.Is(err, errFile) {
		return state.SecretHint(err)
	}
	return config.ChatHint(err)
}
