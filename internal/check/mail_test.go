package check

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

func TestMail(t *testing.T) {
	const to = "<email_to>a@example.org</email_to>"
	for _, b := range []breakage{
		{"nobody", mailConf("<smtp_server>/bin/sh</smtp_server>"), isWarn, "mail", "nobody is to get the mail", "<email_to>"},
		{"no server", mailConf(to), isWarn, "mail", "there is no mail server", "<smtp_server>"},
		{"no such program", mailConf(to + "<smtp_server>/nonexistent/sendmail</smtp_server>"), isWarn, "mail", `"/nonexistent/sendmail" is not there`, "smtp_server"},
		{"a program", mailConf(to + "<smtp_server>/bin/sh</smtp_server>"), isOK, "mail", "by the program", ""},
		{"a program as OSSEC calls it", mailConf(to + "<smtp_server>/bin/sh -t</smtp_server>"), isOK, "mail", `by the program "/bin/sh", which is there`, ""},
		{"no such program, with arguments", mailConf(to + "<smtp_server>/nonexistent/sendmail -t</smtp_server>"), isWarn, "mail", `"/nonexistent/sendmail" is not there`, "smtp_server"},
		{"a program that needs a shell", mailConf(to + "<smtp_server>/bin/cat | /bin/sh</smtp_server>"), isWarn, "mail", "no shell is used", "smtp_server"},
		{"no answer", mailConf(to + "<smtp_server>192.0.2.25</smtp_server>"), isWarn, "mail", `"192.0.2.25:25": connection refused`, "email-notification test"},
		{"a bad port", mailConf(to + "<smtp_server>/bin/sh</smtp_server><smtp_port>many</smtp_port>"), isWarn, "mail", "<smtp_port>", "correct it"},
		{"in the settings", func(p *place) {
			mailConf("")(p)
			p.write("var/ossec/etc/active-response.toml", "[mail]\nto = [\"a@example.org\"]\nsmtp_server = \"192.0.2.26\"\nsmtp_user = \"u\"\n")
		}, isWarn, "mail", `"192.0.2.26:587"`, "email-notification test"},
	} {
		b.run(t)
	}

	for name, row := range map[string]struct {
		greeting string
		verdict  enforcer.Verdict
		text     string
	}{
		"greets":   {"220 mail.example.org ESMTP\r\n", isOK, "192.0.2.25:2525, which answers"},
		"refuses":  {"554 go away\r\n", isWarn, `it says "554 go away"`},
		"hangs up": {"", isWarn, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			mailConf(to + "<smtp_server>192.0.2.25</smtp_server><smtp_port>2525</smtp_port>")(p)
			said := make(chan string, 1)
			p.adjust = func(h *host) {
				h.dial = func(_ context.Context, _, address string) (net.Conn, error) {
					if address != "192.0.2.25:2525" {
						t.Errorf("dialled %s", address)
					}
					ours, theirs := net.Pipe()
					go func() {
						_, _ = io.WriteString(theirs, row.greeting) // what is not read is not waited for
						if row.verdict != isOK {
							_ = theirs.Close()
						}
						all, _ := io.ReadAll(theirs)
						said <- string(all)
					}()
					return ours, nil
				}
			}
			want(t, p.look(), row.verdict, "mail", row.text, "")
			if got := <-said; row.verdict == isOK && got != "QUIT\r\n" {
				t.Errorf("said %q", got)
			}
		})
	}

	t.Run("a fault for who sends it", func(t *testing.T) {
		p := newPlace(t)
		mailConf(to)(p)
		p.subject = Subject{Name: "email-notification"}
		p.write(bin+"email-notification", "")
		p.chmod(bin+"email-notification", 0o755)
		p.remove(bin + "email-notification.sh")
		p.link("email-notification", bin+"email-notification.sh")
		p.write("var/ossec/etc/shared/ar.conf", "email-alert0 - email-notification.sh - 0\n")
		want(t, p.look(), isFault, "mail", "there is no mail server", "<smtp_server>")
	})
}
