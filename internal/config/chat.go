package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Chat is a service that notices go to. Its URL is a secret, and is not in this file.
type Chat struct {
	URLFile string `toml:"url_file"` // holds the URL; mode 0600
	// FromCall says that the URL comes with the call, as Wazuh's extra_args, and is Slack's.
	FromCall  bool     `toml:"from_call"`
	Level     int      `toml:"level"`     // and up
	Responses []string `toml:"responses"` // only about addresses that one of these holds, or failed to block
	On        []string `toml:"on"`
	Proxy     string   `toml:"proxy"`   // URL, without a password
	CAFile    string   `toml:"ca_file"` // trusted beside the system's own
}

// The events that a service can be sent: the values of Chat.On.
const (
	OnBlock   = "block" // an alert
	OnUnblock = "unblock"
	OnFailure = "failure" // an alert on an address that a response failed to block
	OnReport  = "report"
)

// defaultOn is Chat.On where it is not set.
var defaultOn = []string{OnBlock, OnFailure}

// checkChat returns what is wrong with the services, and keeps the others.
func (c *Config) checkChat() (faults []fault) {
	c.Chat = slices.DeleteFunc(c.Chat, func(s Chat) bool {
		err := s.check()
		if err != nil {
			faults = append(faults, fault{"chat", "", err})
		}
		return err != nil
	})
	for i := range c.Chat {
		if c.Chat[i].On == nil {
			c.Chat[i].On = defaultOn
		}
	}
	return faults
}

func (s *Chat) check() error {
	if s.FromCall == (s.URLFile != "") {
		return errors.New("a service has either url_file or from_call = true")
	}
	for _, file := range []struct{ key, path string }{{"url_file", s.URLFile}, {"ca_file", s.CAFile}} {
		if file.path != "" && !strings.HasPrefix(file.path, "/") {
			return fmt.Errorf("%s is no absolute path (the URL itself is a secret: write it into the file)",
				file.key)
		}
	}
	for _, on := range s.On {
		if !slices.Contains([]string{OnBlock, OnUnblock, OnFailure, OnReport}, on) {
			return fmt.Errorf("on: %q is not one of block, unblock, failure, report", on)
		}
	}
	if s.Proxy == "" {
		return nil
	}
	// Parsing it is left to who sends: every response reads this.
	scheme, host, _ := strings.Cut(s.Proxy, "://")
	switch {
	case host == "" || !slices.Contains([]string{"http", "https", "socks5"}, scheme):
		return errors.New("proxy is no URL such as http://proxy.example.com:3128")
	case strings.Contains(host, "@"):
		return errors.New("proxy has a password in it, which others can read here")
	}
	return nil
}

// Wants reports whether the service is to get an event of that level about an address that these
// responses hold, or failed to block.
func (s *Chat) Wants(on string, level int, responses []string) bool {
	concerned := len(s.Responses) == 0 || on == OnUnblock ||
		slices.ContainsFunc(s.Responses, func(r string) bool { return slices.Contains(responses, r) })
	return slices.Contains(s.On, on) && level >= s.Level && concerned
}

// WantsChat reports whether any service is to get such an event.
func (c *Config) WantsChat(on string) bool {
	return slices.ContainsFunc(c.Chat, func(s Chat) bool { return slices.Contains(s.On, on) })
}

// ErrChatUnset says that no service is set.
var ErrChatUnset = errors.New("chat is not set up")

// ChatUnset returns ErrChatUnset when no service is set.
func (c *Config) ChatUnset() error {
	if len(c.Chat) == 0 {
		return fmt.Errorf("%w: no service", ErrChatUnset)
	}
	return nil
}

// ChatHint returns advice on an error about chat that is not set up, "" for others.
func ChatHint(err error) string {
	if !errors.Is(err, ErrChatUnset) {
		return ""
	}
	return "write the URL of the service into a file of mode 0600, name that as url_file in [[chat]] of " +
		"active-response.toml, and try `ossec-ar chat test`"
}
