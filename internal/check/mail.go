package check

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// mailer is the response that sends mail.
const mailer = "email-notification"

// mailTimeout bounds the waiting for the mail server.
const mailTimeout = 5 * time.Second

// mail looks whether mail could be sent, without sending any. It is a fault of the
// response that sends it; to others it is a warning.
func (h *host) mail(ctx context.Context) []Finding {
	own := h.subject.Name == mailer
	used := slices.ContainsFunc(h.conf.all("command"), func(c *block) bool {
		return strings.Contains(c.text("executable"), mailer) && len(h.conf.users(c.text("name"))) > 0
	})
	if !own && !used {
		return []Finding{skip("no <active-response> runs %s", mailer)}
	}
	found := h.mailWay(ctx)
	for i := range found {
		if !own && found[i].Verdict == enforcer.Fault {
			found[i].Verdict = enforcer.Warn
		}
	}
	return found
}

func (h *host) mailWay(ctx context.Context) []Finding {
	base, _ := ossec.ReadMail(h.conf.path) // what is wrong with the file was told above
	over := h.subject.Config.Mail
	var found []Finding
	for _, err := range base.Faults {
		found = append(found, fault("correct it there", "%v", err))
	}
	settings := "[mail] of " + h.Home.Settings()
	recipients := cmp.Or(len(over.To), len(base.To)) + len(over.Routes)
	if recipients == 0 {
		found = append(found, fault("add <email_to>ADDRESS</email_to> to <global> of "+h.conf.path+", or to = [\"ADDRESS\"] to "+settings, "nobody is to get the mail"))
	}
	server := cmp.Or(over.Server, base.Server)
	mend := "set <smtp_server> in <global> of " + h.conf.path + ", or smtp_server in " + settings
	switch {
	case server == "":
		return append(found, fault(mend, "there is no mail server"))
	case strings.HasPrefix(server, "/"):
		if info, err := os.Stat(server); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return append(found, fault(mend, "the mail program %s is not there, or not executable", quote(server)))
		}
		return orOK(found, "%s, by the program %s", count(recipients, "recipient"), quote(server))
	}
	implicit := over.TLS == "implicit"
	port := cmp.Or(over.Port, base.Port)
	if port == 0 {
		switch {
		case implicit:
			port = 465
		case over.User != "" || base.Auth:
			port = 587
		default:
			port = 25
		}
	}
	address := net.JoinHostPort(strings.Trim(server, "[]"), strconv.Itoa(port))
	if host, port, err := net.SplitHostPort(server); err == nil {
		address = net.JoinHostPort(host, port)
	}
	if err := h.greeting(ctx, address, !implicit && port != 465); err != nil {
		return append(found, fault("see whether the server runs and the way to it is open, or "+mend+"; then "+mailer+" test", "the mail server %s: %v", quote(address), err))
	}
	return orOK(found, "%s, by %s, which answers", count(recipients, "recipient"), address)
}

// greeting connects, waits for what an SMTP server says first (RFC 5321, 4.2), and takes
// leave.
func (h *host) greeting(ctx context.Context, address string, speaks bool) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	conn, err := h.dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close() // nothing was sent that could be lost
	if !speaks {
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(mailTimeout)); err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 1<<10)).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "220") {
		return &net.OpError{Op: "greeting", Net: "tcp", Err: errGreeting(line)}
	}
	_, err = io.WriteString(conn, "QUIT\r\n")
	return err
}

// errGreeting is a greeting that is none.
type errGreeting string

func (e errGreeting) Error() string { return "it says " + quote(strings.TrimSpace(string(e))) }
