package notify

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// sample is an entry about nothing, on an address that belongs to nobody (RFC 5737).
func sample(now time.Time) entry {
	line := now.Format(time.Stamp) +
		" web sshd[4711]: Failed password for root from 203.0.113.7 port 40022 ssh2"
	facts := notice.Facts{
		ID: fmt.Sprintf("%d.1", now.Unix()), Time: now, RuleID: "5712", Level: 10,
		Description: "SSHD brute force trying to get access to the system.",
		Groups:      []string{"syslog", "sshd", "authentication_failures"},
		Host:        "web", User: "root", Location: "/var/log/auth.log", Log: line + "\n" + line,
	}
	rule := notice.RuleCount{ID: facts.RuleID, Level: 10, Description: facts.Description, Count: 1, Last: now}
	holder := notice.Holder{Program: "firewall-drop", RuleID: facts.RuleID, Since: now.Add(-2 * time.Second),
		AtMost: 10 * time.Minute}
	return entry{
		Item: &outbox.Item{ID: "sample", First: now, Last: now, Count: 1},
		Notice: notice.Notice{
			Kind: notice.Alert, Addr: netip.MustParseAddr("203.0.113.7"), RuleID: facts.RuleID, Facts: &facts,
			Rules: []notice.RuleCount{rule}, Standing: notice.Standing{Holders: []notice.Holder{holder}},
		},
		Name: "scanner.example.net", Country: "Netherlands",
		Network: "AS64500 Example Networks (203.0.113.0/24)",
		Before:  "blocked 2 times, the last time " + stamp(now.Add(-30*time.Hour), time.Local),
	}
}

// samples are mails of every kind; the last is a digest.
func samples(now time.Time) [][]entry {
	one := sample(now)
	like := func(addr string, kind notice.Kind, standing notice.Standing) entry {
		e := one
		e.Kind, e.Standing, e.Name, e.Country, e.Network, e.Before = kind, standing, "", "", "", ""
		if e.Addr = (netip.Addr{}); addr != "" {
			e.Addr = netip.MustParseAddr(addr)
		}
		return e
	}
	free := like("2001:db8::7", notice.Alert, notice.Standing{})
	const allowed = "198.51.100.0/24 (/var/ossec/etc/ossec.conf:12)"
	white := like("198.51.100.20", notice.Alert, notice.Standing{Whitelisted: allowed})
	white.Item = &outbox.Item{ID: "sample", First: now, Last: now, Count: 3}
	white.Rules = append(white.Rules[:1:1], notice.RuleCount{
		ID: "5720", Level: 10, Description: "Multiple SSHD authentication failures.", Count: 2, Last: now,
	})
	end := like("192.0.2.99", notice.End, notice.Standing{})
	unknown := like("192.0.2.100", notice.Alert, notice.Standing{Unknown: "the lease file is locked"})
	bare := like("", notice.Alert, one.Standing)
	bare.Facts = &notice.Facts{Time: now, Missing: "the call named no alert"}
	return [][]entry{{one}, {free}, {white}, {end}, {unknown}, {bare}, {one, free, white, end, unknown}}
}
