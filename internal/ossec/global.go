package ossec

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Mail is what the <global> tables of ossec.conf say about mail. Texts are as they stand
// there; nothing but the numbers and yes/no has been checked.
type Mail struct {
	To         []string
	From       string
	ReplyTo    string
	IDSName    string
	Server     string // host name, address, or a sendmail program: see MailProgram
	Port       int    // 0 when unset
	Auth       bool
	User       string
	Password   string
	Secure     bool
	Verify     *bool // nil when unset
	HELO       string
	MaxPerHour int // 0 when unset

	// Faults are values that make no sense; they count as unset, and are not repeated.
	Faults []error
}

// ReadMail reads the mail settings. A later value stands before an earlier one; only
// email_to gathers, and one of them may hold several addresses with commas.
func ReadMail(path string) (Mail, error) {
	var m Mail
	err := ReadConf(path, func(e Element) {
		if len(e.Path) >= 2 && e.Path[len(e.Path)-2] == "global" && e.Text != "" {
			if err := m.set(e.Path[len(e.Path)-1], e.Text); err != nil {
				m.Faults = append(m.Faults,
					fmt.Errorf("%s:%d: <%s>: %w", path, e.Line, e.Path[len(e.Path)-1], err))
			}
		}
	})
	return m, err
}

func (m *Mail) set(name, text string) (err error) {
	switch name {
	case "email_to":
		for address := range strings.SplitSeq(text, ",") {
			if address = strings.TrimSpace(address); address != "" {
				m.To = append(m.To, address)
			}
		}
	case "email_from":
		m.From = text
	case "email_reply_to":
		m.ReplyTo = text
	case "email_idsname":
		m.IDSName = text
	case "smtp_server":
		m.Server = text
	case "smtp_port":
		m.Port, err = number(text, 65535)
	case "auth_smtp":
		m.Auth, err = yesNo(text)
	case "smtp_user":
		m.User = text
	case "smtp_password":
		m.Password = text
	case "secure_smtp":
		m.Secure, err = yesNo(text)
	case "smtp_tls_verify":
		var verify bool
		if verify, err = yesNo(text); err == nil {
			m.Verify = &verify
		}
	case "helo_server":
		m.HELO = text
	case "email_maxperhour":
		m.MaxPerHour, err = number(text, 1_000_000)
	}
	return err
}

// MailProgram takes a server that is a program apart: OSSEC gives its shell the whole, as
// "/usr/sbin/sendmail -t". A file that has the whole for its name is that program. Without
// a shell what means something to one is a fault. The -t is left out: it takes the
// recipients from the mail, and we name them as arguments, which Postfix's program refuses
// beside it.
func MailProgram(server string) (path string, args []string, err error) {
	if _, err := os.Stat(server); err == nil {
		return server, nil, nil
	}
	if i := strings.IndexAny(server, shellSigns); i >= 0 {
		return "", nil, fmt.Errorf("the mail program %q: %q does nothing here, for no shell is used",
			clip(server), server[i:i+1])
	}
	words := strings.Fields(server)
	for _, arg := range words[1:] {
		if strings.Trim(arg, "-it") == "" && strings.HasPrefix(arg, "-") { // -ti is both
			arg = strings.ReplaceAll(arg, "t", "")
		}
		if arg != "-" {
			args = append(args, arg)
		}
	}
	return words[0], args, nil
}

// shellSigns mean something to a shell and nothing in the path of a program.
const shellSigns = "\"'`\\|;$&<>()*?#"

func yesNo(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, errors.New("neither yes nor no")
}

func number(text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("no number from 1 to %d", most)
	}
	return n, nil
}
