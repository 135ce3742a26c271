// Command demo shows the suite at work in throw-away namespaces, on any Linux machine and
// without OSSEC: an attacker and two victims joined by cables, the attack, the block, the mail and
// the message, the null route, the account, the end of the block on all hosts, the statistics. Every
// line behind a # is a command that is really run. Nothing outside its temporary folder is touched.
//
// With the name of a file it draws the status and the report that it shows into it, as an SVG.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
)

const (
	role     = "AR_DEMO_ROLE"  // what this process plays
	plain    = "AR_DEMO_PLAIN" // set where the demo is not run by root
	victim   = "198.51.100.2"
	attacker = "198.51.100.1"
	second   = "198.51.100.3" // another host of the same administrator's
)

func main() {
	var err error
	switch os.Getenv(role) {
	case "":
		if err = equip(); err == nil {
			err = again("victim", os.Args[1:])
		}
	case "victim":
		err = play()
	case "attacker":
		err = attack(os.Stdin, os.Stdout)
	case "agent":
		err = serve()
	}
	var ended *exec.ExitError // it has said why
	if err != nil && (!errors.As(err, &ended) || os.Getenv(role) != "") {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// equip finds the system's programs that are run: where a person's PATH often does not lead, too.
func equip() error {
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	for _, program := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed: `make deps`, as root on Debian, installs what is missing", program)
		}
	}
	return nil
}

// again runs this program as another, in namespaces of its own.
func again(as string, args []string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
		Unshareflags: syscall.CLONE_NEWNET, // after the mappings, see internal/isolate
	}
	if os.Geteuid() != 0 {
		cmd.Env = append(cmd.Env, plain+"=1")
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	if errors.Is(err, syscall.EPERM) {
		return errors.New("only root gets namespaces on this machine: run it as root, as with sudo")
	}
	return err
}

// attack is the attacker's machine: for each line that it reads it knocks once and says
// how that went.
func attack(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		conn, err := net.DialTimeout("tcp", lines.Text(), 700*time.Millisecond)
		var timeout net.Error
		switch {
		case err == nil:
			_ = conn.Close() // it was let in, that is all
			fmt.Fprintln(out, "let in")
		case errors.As(err, &timeout) && timeout.Timeout():
			fmt.Fprintln(out, "no answer at all")
		default:
			fmt.Fprintln(out, err)
		}
	}
	return lines.Err()
}

// stage is the victim's machine and what is on it.
type stage struct {
	home        string
	server      net.Listener // the service that is attacked
	attackerPID int
	ask         io.Writer // the attacker's machine
	answer      *bufio.Reader
	agent       agent
	mails       chan string
	messages    chan string // to the chat service
	shown       string      // by the last command

	drawn    strings.Builder // of the picture
	alerts   int64           // bytes in alerts.log
	alertErr error
}

func play() error {
	home, err := os.MkdirTemp("", "ar-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	s := &stage{home: home, mails: make(chan string, 4), messages: make(chan string, 4)}
	if err := s.build(); err != nil {
		return err
	}
	if err := s.scenes(); err != nil || len(os.Args) < 2 {
		return err
	}
	return os.WriteFile(os.Args[1], picture(s.drawn.String()), 0o644)
}

func (s *stage) scenes() error {
	const bin, tool = "active-response/bin/", "ossec-ar"
	alert := fmt.Sprintf(" - %s %s 5712", attacker, s.alert("5712", "10",
		"sshd: brute force trying to get access to the system.",
		"sshd[812]: Failed password for invalid user admin from "+attacker+" port 40022 ssh2"))
	webAlert := fmt.Sprintf(" - %s %s 31103", attacker, s.alert("31103", "7", "SQL injection attempt.",
		attacker+` - - "GET /index.php?id=1%20union%20select HTTP/1.1" 200 4213`))
	loginID := s.alert("40112", "12", "Multiple authentication failures followed by a success.",
		"sshd[840]: Accepted password for mallory from "+attacker+" port 40023 ssh2")
	if s.alertErr != nil {
		return s.alertErr
	}
	scenes := []func() error{
		s.say("An attacker at %s guesses passwords on this host, %s.", attacker, victim),
		s.knock,
		s.say("OSSEC's rule 5712 fires, and its daemon calls firewall-drop, as it calls any response."),
		s.run(bin+"firewall-drop.sh", "add"+alert),
		s.knock,
		s.run("iptables", "-L OSSEC_AR -n"),
		s.say("A web rule fires too and calls a second response on the same address. Who is blocked?"),
		s.run(bin+"custom-firewall-drop.sh", "add"+webAlert),
		s.run(tool, "list"),
		s.run(tool, "show "+attacker),
		s.say("Somebody flushes the firewall. What cron runs each minute mends it."),
		s.run("iptables", "-F"),
		s.knock,
		s.run(tool, "maintain"),
		s.knock,
		s.draw(tool, "status"),
		s.say("The first timeout ends. The second response still holds the address."),
		s.run(bin+"firewall-drop.sh", "delete"+alert),
		s.knock,
		s.say("The administrator gets a mail."),
		s.asRoot(s.run(bin+"email-notification.sh", "add"+alert), s.run(tool, "mail queue"),
			s.comes(s.mails, "mail")),
		s.say("A chat service hears of it, too."),
		s.asRoot(s.run(bin+"chat-notification.sh", "add"+alert), s.comes(s.messages, "message")),
		s.say("The last holder gives the address up, and it is free."),
		s.run(bin+"custom-firewall-drop.sh", "delete"+webAlert),
		s.knock,
		s.say("The same with a null route."),
		s.run(bin+"route-null.sh", "add"+alert),
		s.run("ip", "route show"),
		s.knock,
		s.run(bin+"route-null.sh", "delete"+alert),
		s.knock,
		s.say("Rule 40112 fires: somebody got in after many guesses. The account is locked, and given back as it was."),
		s.run("passwd", "-S mallory"),
		s.run(bin+"disable-account.sh", "add mallory "+attacker+" "+loginID+" 40112"),
		s.run("passwd", "-S mallory"),
		s.run(tool, "list"),
		s.run(tool, "unban mallory"),
		s.run("passwd", "-S mallory"),
		s.say("Two hosts block the attacker, this one and %s.", second),
		s.run(bin+"firewall-drop.sh", "add"+alert),
		s.onSecond(bin+"firewall-drop.sh", "add"+alert),
		s.knock,
		s.knockSecond,
		s.say("He turns out to be a customer. On the manager: agent_control -b %s -f unban0 -a\n"+
			"Then the daemon of each host calls:", attacker),
		s.run(bin+"unban.sh", "add - "+attacker+" (from_the_server) (no_rule_id)"),
		s.onSecond(bin+"unban.sh", "add - "+attacker+" (from_the_server) (no_rule_id)"),
		s.knock,
		s.knockSecond,
		s.say("What is on the whitelist is never blocked, nor is the host itself, whatever an alert says."),
		s.run(tool, "whitelist add 198.51.100.0/25"),
		s.run(bin+"firewall-drop.sh", "add"+alert),
		s.run(bin+"firewall-drop.sh", "add - "+victim+" 1.0 5712"),
		s.knock,
		s.say("All of it is in the log, in the form that OSSEC's rules read, and in the day's report."),
		s.run("cat", "logs/active-responses.log"),
		s.draw(tool, "report"),
		s.say("Gone with the temporary folder: nothing on this machine was changed."),
	}
	for _, scene := range scenes {
		if err := scene(); err != nil {
			return err
		}
	}
	return nil
}

// asRoot plays scenes that only root can: a process that gives up its user.
func (s *stage) asRoot(scenes ...func() error) func() error {
	return func() error {
		if os.Getenv(plain) != "" {
			fmt.Println("  (left out: run the demo as root)")
			return nil
		}
		for _, scene := range scenes {
			if err := scene(); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *stage) say(format string, args ...any) func() error {
	return func() error {
		text := fmt.Sprintf(format, args...)
		if app.Columns(os.Stdout) > 0 && !app.OS().NoColor {
			text = "\x1b[1m" + text + "\x1b[0m"
		}
		fmt.Printf("\n%s\n", text)
		return nil
	}
}

// run shows a command and runs it.
func (s *stage) run(program, args string) func() error {
	return func() error { return s.runIn(s.home, "# ", nil, program, args) }
}

// onSecond is run, on the second host.
func (s *stage) onSecond(program, args string) func() error {
	return func() error {
		return s.runIn(s.agent.home, second+" # ", strings.Fields(within(s.agent.pid)), program, args)
	}
}

// runIn runs a command in a home, behind words that lead to where it is to run.
func (s *stage) runIn(home, prompt string, behind []string, program, args string) error {
	fmt.Printf("%s%s %s\n", prompt, program, args)
	path := program
	switch {
	case program == "ossec-ar":
		path = filepath.Join(home, "bin", program)
	case strings.HasPrefix(program, "active-response/"):
		path = filepath.Join(home, program)
	}
	words := append(append(behind, path), strings.Fields(args)...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = home
	out, err := cmd.CombinedOutput()
	s.shown = strings.ReplaceAll(string(out), home, "/var/ossec")
	fmt.Print(s.shown)
	if err != nil {
		return fmt.Errorf("%s %s: %w", program, args, err)
	}
	return nil
}

// quietHour is a line of the report that shows nothing.
var quietHour = regexp.MustCompile(`(?m)^  \w{3} \d\d:00 +0\n`)

// draw runs a command as run does, and puts it into the picture.
func (s *stage) draw(program, args string) func() error {
	return func() error {
		err := s.run(program, args)()
		fmt.Fprintf(&s.drawn, "# %s %s\n%s\n", program, args, quietHour.ReplaceAllString(s.shown, ""))
		return err
	}
}

// knock lets the attacker try the service.
func (s *stage) knock() error { return s.knockAt("attacker", s.server.Addr().String()) }

func (s *stage) knockSecond() error { return s.knockAt("attacker at "+second, second+":22") }

func (s *stage) knockAt(who, service string) error {
	if _, err := fmt.Fprintln(s.ask, service); err != nil {
		return err
	}
	line, err := s.answer.ReadString('\n')
	fmt.Printf("  %s: %s", who, line)
	return err
}

// comes waits for what is sent, and shows it.
func (s *stage) comes(texts <-chan string, what string) func() error {
	return func() error {
		select {
		case text := <-texts:
			fmt.Println(text)
			return nil
		case <-time.After(30 * time.Second):
			return fmt.Errorf("no %s came within 30 seconds", what)
		}
	}
}
