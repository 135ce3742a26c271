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
	base, _ := ossec.ReadMail(h.conf.path) // what is wrong with the file was told above
	var found []Finding
	if !own || h.subject.Extra == nil { // else that looks at the settings, closer
		found = h.mailSettings(base)
	}
	if len(found) == 0 {
		found = h.mailServer(ctx, base)
	}
	for i := range found {
		if !own && found[i].Verdict == enforcer.Fault {
			found[i].Verdict = enforcer.Warn
		}
	}
	return found
}

// mailSettings looks whether it is said to whom mail goes, and by which server.
func (h *host) mailSettings(base ossec.Mail) []Finding {
	over := h.subject.Config.Mail
	var found []Finding
	for _, err := range base.Faults {
		found = append(found, fault("correct it there", "%v", err))
	}
	settings := "[mail] of " + h.Home.Settings()
	if len(over.To)+len(base.To)+len(over.Routes) == 0 {
		found = append(found, fault("add <email_to>ADDRESS</email_to> to <global> of "+h.conf.path+", or to = [\"ADDRESS\"] to "+settings, "nobody is to get the mail"))
	}
	if over.Server == "" && base.Server == "" {
		found = append(found, fault("set <smtp_server> in <global> of "+h.conf.path+", or smtp_server in "+settings, "there is no mail server"))
	}
	return found
}

// mailServer looks whether the server, or the program, is there.
func (h *host) mailServer(ctx context.Context, base ossec.Mail) []Finding {
	over := h.subject.Config.Mail
	server := cmp.Or(over.Server, base.Server)
	switch {
	case server == "":
		return []Finding{skip("there is no mail server to try")}
	case strings.HasPrefix(server, "/"):
		program, _, err := ossec.MailProgram(server)
		if err != nil {
			return []Finding{fault("name the program and its arguments alone as smtp_server", "%v", err)}
		}
		if info, err := os.Stat(program); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return []Finding{fault("install it, or name another as smtp_server", "the mail program %s is not there, or not executable", quote(program))}
		}
		return []Finding{ok("by the program %s, which is there", quote(program))}
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
		return []Finding{fault("see whether the server runs and the way to it is open, or name another as smtp_server; then "+mailer+" test", "the mail server %s: %v", quote(address), err)}
	}
	return []Finding{ok("by %s, which answers", address)}
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
