package notice

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// Channel is a way that notices go to people. Each has a queue of its own, and a deliverer: one that
// is held up holds up no other.
type Channel struct {
	Name    string             // the word behind ossec-ar
	Program string             // that the daemons call
	Hint    func(error) string // advice on an error, "" for none

	// unset returns why nothing can be delivered, by what the settings say, or nil.
	unset func(home ossec.Home, c *config.Config) error
	// onDelete reports whether the settings want the end of a block announced.
	onDelete func(c *config.Config) bool
	// onFailure reports whether the settings want blocks that failed announced, on whatever rule.
	onFailure func(c *config.Config) bool
	// report returns why a report goes to nobody, by complete settings, or nil.
	report func(c *config.Config) error
}

// Mail is by mail, and Chat by chat and paging services.
var (
	Mail = Channel{
		Name: "mail", Program: "email-notification", Hint: config.MailHint,
		unset:     fill,
		onDelete:  func(c *config.Config) bool { return c.Mail.OnDelete },
		onFailure: func(c *config.Config) bool { return c.Mail.OnFailure },
		report: func(c *config.Config) error {
			_, err := c.Mail.General()
			return err
		},
	}
	Chat = Channel{
		Name: "chat", Program: "chat-notification", Hint: config.ChatHint,
		unset:     func(_ ossec.Home, c *config.Config) error { return c.ChatUnset() },
		onDelete:  func(c *config.Config) bool { return c.WantsChat(config.OnUnblock) },
		onFailure: func(c *config.Config) bool { return c.WantsChat(config.OnFailure) },
		report: func(c *config.Config) error {
			if !c.WantsChat(config.OnReport) {
				return fmt.Errorf("%w: no service has \"report\" in on", config.ErrChatUnset)
			}
			return nil
		},
	}
)

// Channels are all.
var Channels = []Channel{Mail, Chat}

// Queue returns the folder in which notices wait.
func (c Channel) Queue(home ossec.Home) string { return filepath.Join(home.State(), c.Name) }

// fill takes from ossec.conf to whom and by which server mail goes, where [mail] leaves that
// open, and returns config.ErrMailUnset when neither says. It checks nothing else: the
// deliverer does, and logs what it finds.
func fill(home ossec.Home, c *config.Config) error {
	m := &c.Mail
	base, err := ossec.ReadMail(home.Conf()) // what could be read counts
	if len(m.To) == 0 {
		m.To = base.To
	}
	if m.Server == "" {
		m.Server = base.Server
	}
	unset := config.MailUnset(m.Server, len(m.To)+len(m.Routes))
	if unset == nil || err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, ossec.ErrBrokenConf) {
		return unset
	}
	return fmt.Errorf("%w: %w", unset, err)
}
