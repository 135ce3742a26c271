package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// build makes the victim's home, its service, a mail server, and the attacker's machine.
func (s *stage) build() error {
	if err := install(s.home); err != nil {
		return err
	}
	for _, step := range []func() error{s.cable, s.service, s.mailServer, s.chatService, accounts, s.secondHost} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// install puts the programs into a home, under the names that the demo calls.
func install(home string) error {
	programs, err := filepath.Glob("build/*")
	if err != nil || len(programs) == 0 {
		return errors.Join(err, errors.New("no programs in build/: run make build first"))
	}
	for _, folder := range []string{"active-response/bin", "bin", "etc", "logs/alerts"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o755); err != nil {
			return err
		}
	}
	bin := filepath.Join(home, "active-response/bin")
	for _, p := range programs {
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name := filepath.Base(p)
		if name == "ossec-ar" {
			if err := os.WriteFile(filepath.Join(home, "bin", name), data, 0o755); err != nil {
				return err
			}
			continue
		}
		err = errors.Join(
			os.WriteFile(filepath.Join(bin, name), data, 0o755),
			os.Symlink(name, filepath.Join(bin, name+".sh")),
		)
		if err != nil {
			return err
		}
	}
	return os.Symlink("firewall-drop", filepath.Join(bin, "custom-firewall-drop.sh"))
}

// alert writes an alert as OSSEC's analysisd does and returns its id.
func (s *stage) alert(rule, level, description, line string) (id string) {
	now := time.Now()
	id = fmt.Sprintf("%d.%d", now.Unix(), s.alerts)
	const form = "** Alert %s: mail  - attack,\n%s victim->/var/log/messages\n" +
		"Rule: %s (level %s) -> '%s'\nSrc IP: %s\n%s\n\n"
	text := fmt.Sprintf(form, id, now.Format("2006 Jan 02 15:04:05"), rule, level, description, attacker, line)
	path := filepath.Join(s.home, "logs/alerts/alerts.log")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = file.WriteString(text)
		err = errors.Join(err, file.Close())
	}
	s.alerts += int64(len(text))
	s.alertErr = errors.Join(s.alertErr, err)
	return id
}

// cable starts the attacker's machine and joins it to this one.
func (s *stage) cable() error {
	cmd := another("attacker")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the attacker's machine: %w", err)
	}
	s.ask, s.answer = in, bufio.NewReader(out)
	s.attackerPID = cmd.Process.Pid
	there := within(s.attackerPID)
	return setUp(
		"mount -t tmpfs run /run",
		"ip link set lo up",
		fmt.Sprintf("ip link add eth0 type veth peer name eth0 netns %d", s.attackerPID),
		"ip addr add "+victim+"/24 dev eth0",
		"ip link set eth0 up",
		there+"ip addr add "+attacker+"/24 dev eth0",
		there+"ip link set eth0 up",
	)
}

// another returns the command that runs this program as another machine, with a network of its own.
func another(as string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// within begins a command that is to run in the network of a process.
func within(pid int) string { return fmt.Sprintf("nsenter -t %d -n ", pid) }

// setUp runs commands.
func setUp(steps ...string) error {
	for _, step := range steps {
		words := strings.Fields(step)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", step, err, out)
		}
	}
	return nil
}

func (s *stage) service() (err error) {
	if s.server, err = net.Listen("tcp", victim+":22"); err != nil {
		return err
	}
	go func() {
		for {
			conn, err := s.server.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // who gets this far was let in
		}
	}()
	return nil
}

// mailServer starts a server that hands every mail to the stage, and says so in ossec.conf.
func (s *stage) mailServer() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := smtp.NewServer(smtp.BackendFunc(
		func(*smtp.Conn) (smtp.Session, error) { return session{s.mails}, nil }))
	server.Domain = "localhost"
	go func() { _ = server.Serve(listener) }() // until the demo ends
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	conf := fmt.Sprintf(`<ossec_config>
  <global>
    <email_notification>yes</email_notification>
    <email_to>admin@example.com</email_to>
    <email_from>ossec@example.com</email_from>
    <smtp_server>127.0.0.1</smtp_server>
    <smtp_port>%s</smtp_port>
  </global>
</ossec_config>
`, port)
	return os.WriteFile(filepath.Join(s.home, "etc/ossec.conf"), []byte(conf), 0o644)
}

// session takes one mail.
type session struct{ mails chan<- string }

func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (session) Reset()                               {}
func (session) Logout() error                        { return nil }

func (s session) Data(r io.Reader) error {
	text, err := readable(r)
	if err == nil {
		s.mails <- text
	}
	return err
}

// readable returns the subject and the plain text of a mail.
func readable(r io.Reader) (string, error) {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return "", err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return "", err
	}
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	part, err := multipart.NewReader(message.Body, params["boundary"]).NextRawPart()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(quotedprintable.NewReader(part))
	indented := strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  ")
	return "  Subject: " + subject + "\n  " + indented, err
}
