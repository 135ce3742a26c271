package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
)

// sample is a notice about nothing, on an address that belongs to nobody (RFC 5737).
func sample(now time.Time) notice {
	addr := netip.MustParseAddr("203.0.113.7")
	n := notice{
		ID: "sample", Kind: kindAlert, Addr: addr, First: now, Last: now, Count: 1, RuleID: "5712",
		Alert: alertFacts{
			ID: fmt.Sprintf("%d.1", now.Unix()), Time: now, RuleID: "5712", Level: 10,
			Description: "SSHD brute force trying to get access to the system.",
			Groups:      []string{"syslog", "sshd", "authentication_failures"},
			Host:        "web", User: "root", Location: "/var/log/auth.log",
			Log: now.Format(time.Stamp) + " web sshd[4711]: Failed password for root from 203.0.113.7 port 40022 ssh2\n" +
				now.Format(time.Stamp) + " web sshd[4711]: Failed password for root from 203.0.113.7 port 40022 ssh2",
		},
		Standing: standing{Holders: []holder{{"firewall-drop", "5712", now.Add(-2 * time.Second)}}},
		Reverse:  "scanner.example.net", Country: "Netherlands", Network: "AS64500 Example Networks (203.0.113.0/24)",
	}
	n.Rules = []ruleCount{{"5712", 10, n.Alert.Description, 1, now}}
	return n
}

// samples are notices of every kind.
func samples(now time.Time) [][]notice {
	one := sample(now)
	free, white, end, unknown, bare := one, one, one, one, one
	free.Addr, free.Standing = netip.MustParseAddr("2001:db8::7"), standing{}
	free.Reverse, free.Country, free.Network = "", "", ""
	white.Addr = netip.MustParseAddr("198.51.100.20")
	white.Country, white.Network = "", ""
	white.Standing = standing{Whitelisted: "198.51.100.0/24 (/var/ossec/etc/ossec.conf:12)"}
	white.Count = 3
	white.Rules = append(white.Rules[:1:1], ruleCount{"5720", 10, "Multiple SSHD authentication failures.", 2, now})
	end.Addr, end.Kind, end.Standing = netip.MustParseAddr("192.0.2.99"), kindEnd, standing{}
	unknown.Addr, unknown.Standing = netip.MustParseAddr("192.0.2.100"), standing{Unknown: "the lease file is locked by another process"}
	unknown.Reverse, unknown.Country, unknown.Network = "", "", ""
	bare.Addr, bare.Alert = netip.Addr{}, alertFacts{Time: now, Missing: "the call named no alert"}
	return [][]notice{{one}, {free}, {white}, {end}, {unknown}, {bare}, {one, free, white, end, unknown}}
}

// test sends a sample at once and tells each step. It goes round the queue and its limit.
func (c *call) test(ctx context.Context, to []string) int {
	c.setUp()
	recipients, nobody := c.settings.general()
	if len(to) > 0 {
		recipients, nobody = nil, nil
		for _, text := range to {
			a, err := config.MailAddress(text)
			if err != nil {
				c.Complain(err)
				return app.ExitFailed
			}
			recipients = append(recipients, a.Address)
		}
	}
	if c.fault != nil {
		c.Complain(c.fault)
		if c.settings.Server == "" || len(recipients) == 0 {
			return app.ExitFailed
		}
	}
	if nobody != nil {
		c.Complain(fmt.Errorf("%w; name one with --to", nobody))
		return app.ExitFailed
	}
	now := c.Now()
	view := makeView(c.settings, []notice{sample(now)}, now, time.Local)
	view.Sample = true
	mail, err := composeView(c.settings, view, recipients, now, random()+"@"+c.settings.Host)
	if err != nil {
		c.Complain(err)
	}
	if mail.raw == nil {
		return app.ExitFailed
	}
	result, err := send(ctx, c.settings, recipients, mail.raw, func(format string, args ...any) {
		fmt.Fprintln(c.Stdout, cleanLine(fmt.Sprintf(format, args...)))
	})
	for _, recipient := range recipients {
		err = errors.Join(err, result[recipient])
	}
	if err != nil {
		c.Complain(fmt.Errorf("sending a sample: %w", err))
		return app.ExitFailed
	}
	fmt.Fprintf(c.Stdout, "sent a sample to %d\n", len(recipients))
	return app.ExitOK
}

// preview prints what a mail looks like.
func (c *call) preview(html, digest bool) int {
	c.setUp()
	if c.fault != nil && !errors.Is(c.fault, ErrNotSet) {
		c.Complain(c.fault)
	}
	now := c.Now()
	notices := []notice{sample(now)}
	if digest {
		all := samples(now)
		notices = all[len(all)-1]
	}
	view := makeView(c.settings, notices, now, time.Local)
	view.Sample = true
	mail, err := composeView(c.settings, view, []string{"nobody@example.org"}, now, "sample@"+c.settings.Host)
	if err != nil {
		c.Complain(err)
	}
	if html {
		return c.print(mail.html)
	}
	return c.print("Subject: " + mail.subject + "\n\n" + mail.text)
}

// template prints a built-in template.
func (c *call) template(parts []string) int {
	if len(parts) != 1 {
		_ = c.usageError(errors.New("template takes one part: subject, text or html"))
		return app.ExitFailed
	}
	text, err := BuiltIn(parts[0])
	if err != nil {
		c.Complain(err)
		return app.ExitFailed
	}
	return c.print(text)
}

// Check looks for faults in the settings of a home and sends nothing: missing settings
// (ErrNotSet), bad addresses, a password file that others can read (errPassword), broken
// templates (errTemplate), and files that cannot be read.
func Check(s Settings, fault error, now time.Time) error {
	faults := []error{fault, s.CheckTemplates(now)}
	if s.CAFile != "" {
		dialogue := session{Settings: s}
		if _, err := dialogue.tlsConfig(); err != nil {
			faults = append(faults, err)
		}
	}
	files := geo{paths: s.GeoFiles}
	files.lookup(netip.IPv6Loopback(), func(err error) { faults = append(faults, err) })
	files.close()
	if s.sendmail() {
		if err := executable(s.Server); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

func (c *call) check() int {
	var err error
	c.config, err = config.Load(c.Home.Settings())
	c.settings, c.fault = LoadSettings(c.Home, c.config.Mail)
	if err = errors.Join(err, Check(c.settings, c.fault, c.Now())); err != nil {
		c.Complain(err)
		return app.ExitFailed
	}
	way := fmt.Sprintf("by %s, port %d", c.settings.Server, c.settings.Port)
	if c.settings.sendmail() {
		way = "by " + c.settings.Server
	}
	fmt.Fprintf(c.Stdout, "mail goes to %d recipients and %d routes %s, at most %d an hour\n",
		len(c.settings.To), len(c.settings.Routes), way, c.settings.MaxPerHour)
	return app.ExitOK
}
