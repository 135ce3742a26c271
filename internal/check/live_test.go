package check

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

func TestLive(t *testing.T) {
	addr := target.MustParse
	for _, row := range []struct {
		name    string
		prepare func(*place)
		verdict enforcer.Verdict
		text    string
		asked   string // the first address that was blocked, "" for none
	}{
		{"all well", func(*place) {}, isOK, "192.0.2.1 was blocked, seen to be, freed, and seen to be free", "192.0.2.1"},
		{"in use", func(p *place) {
			p.lease("192.0.2.1")
			p.enforcer.Put(addr("192.0.2.2"))
			p.write("var/ossec/etc/whitelist.d/x", "192.0.2.3\n")
		}, isOK, "192.0.2.4 was blocked", "192.0.2.4"},
		{"all in the whitelist", func(p *place) { p.write("var/ossec/etc/whitelist.d/x", "192.0.2.0/24\n") }, isFault, "all of 192.0.2.1 to 192.0.2.254", ""},
		{"blocked, but not seen", func(p *place) { p.enforcer.blind = true }, isFault, "192.0.2.1 was blocked without an error, but is not listed", "192.0.2.1"},
		{"freed, but still seen", func(p *place) { p.enforcer.stuck = true }, isFault, "192.0.2.1 was freed without an error, but is still listed", "192.0.2.1"},
		{"no enforcer", func(p *place) { p.subject.Hold, p.subject.Failure = nil, errors.New("no such type") }, isFault, "nothing can be blocked: no such type", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := newPlace(t)
			hold := p.subject.Hold
			p.options.Live = true
			// This host may have addresses of the test network itself.
			p.write("var/ossec/etc/active-response.toml", "[whitelist]\nown_addresses = false\ngateways = false\nbroadcast = false\ndns_servers = false\n")
			row.prepare(p)
			p.made()
			before := len(p.enforcer.Blocked())
			leases, err := hold.Leases.All()
			p.check(err)
			status := p.host.run(t.Context())
			if (status == app.ExitFailed) != (row.verdict == isFault) && row.name != "in use" {
				t.Errorf("exit status %d", status)
			}
			text := p.out.String()
			if !strings.Contains(text, row.text) || !strings.Contains(text, "\n"+words[row.verdict]) {
				t.Errorf("no %s ...%s... in\n%s", row.verdict, row.text, text)
			}
			if row.asked == "" && len(p.enforcer.asked) > 0 || row.asked != "" && p.enforcer.asked[0].String() != row.asked {
				t.Errorf("blocked %v, want %s", p.enforcer.asked, row.asked)
			}
			if !p.enforcer.stuck && len(p.enforcer.Blocked()) != before {
				t.Errorf("left blocked: %v", p.enforcer.Blocked())
			}
			after, err := hold.Leases.All()
			p.check(err)
			if !p.enforcer.stuck && len(after) != len(leases) {
				t.Errorf("left leased: %v", after)
			}
			if data, err := os.ReadFile(p.path("var/ossec/logs/active-responses.log")); err != nil || len(data) > 0 {
				t.Errorf("logged %q, %v", data, err)
			}
		})
	}

	t.Run("IPv6 too", func(t *testing.T) {
		p := newPlace(t)
		p.write("proc/net/if_inet6", "")
		p.options.Live = true
		p.made()
		if status := p.host.run(t.Context()); status != app.ExitOK {
			t.Errorf("exit status %d", status)
		}
		if !strings.Contains(p.out.String(), "live IPv6                -  2001:db8:192:2::") {
			t.Errorf("got\n%s", p.out.String())
		}
	})
}
