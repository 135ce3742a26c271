package mail

import (
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/blockfile"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestPostfixBlocks: Postfix turns away who is in the list of ip-customblock, and nobody else, as
// docs/ip-customblock.md has it set up.
func TestPostfixBlocks(t *testing.T) {
	needPostfix(t)
	p := newPostfix(t)
	p.write("etc/blocked.cidr", "")
	p.write("etc/main.cf", p.main()+
		"smtpd_client_restrictions = check_client_access cidr:"+p.path("etc/blocked.cidr")+"\n")
	settings := config.Default()
	settings.Blockfile.File, settings.Blockfile.Format = p.path("etc/blocked.cidr"), "{address} REJECT"
	settings.Blockfile.Reload = []string{"/usr/sbin/postfix", "-c", p.path("etc"), "reload"}
	e, err := blockfile.Kind.New(settings, t.TempDir())
	p.check(err)
	attacker, other := target.MustParse("127.0.0.2"), target.MustParse("127.0.0.20")
	_, err = e.Block(t.Context(), attacker, enforcer.Known{})
	p.check(err)
	p.wantTurnedAway(attacker, true)
	p.wantTurnedAway(other, false)
	p.check(e.Unblock(t.Context(), attacker))
	p.wantTurnedAway(attacker, false)
}

// wantTurnedAway waits until Postfix takes no mail from an address, or takes it.
func (p *postfix) wantTurnedAway(from target.Target, want bool) {
	p.t.Helper()
	said := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		said = fmt.Sprint(p.recipient(from))
		if strings.Contains(said, "Client host rejected") == want && !strings.Contains(said, "connect") {
			return
		}
	}
	p.t.Fatalf("%s is told %q, want it turned away: %v\n%s", from, said, want, p.log())
}

// recipient is how Postfix answers an address that has a mail for somebody.
func (p *postfix) recipient(from target.Target) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.Addr().AsSlice()}, Timeout: patience}
	conn, err := dialer.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		return err
	}
	client, err := smtp.NewClient(conn, "127.0.0.1")
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Mail("somebody@example.net"); err != nil {
		return err
	}
	return client.Rcpt("ops@example.org")
}
