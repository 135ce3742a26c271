package notice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Name is what the program is called.
const Name = "email-notification"

const (
	onDeleteFlag = "--on-delete" // let delete announce the end of the block
	dryRunFlag   = "--dry-run"   // print the mail, and send nothing
)

// words are those of `ossec-ar mail` that a person may give to this program, too.
var words = []string{"queue", "flush", "test", "preview", "template"}

const usage = `email-notification: put a notice about an attack or a block into the mail queue

email-notification add|delete USER IP [ALERTID RULEID LOCATION FILENAME]   (as ossec-execd calls it)
email-notification < REQUEST   (as wazuh-execd calls it: one line of JSON)

email-notification [--on-delete] add|delete ADDRESS   send a mail about an address, by hand
email-notification --dry-run add ADDRESS              print the mail that would be sent now
email-notification queue|flush|test|preview|template  the same as ossec-ar mail queue ...

version %s; see ossec-ar mail --help and email-notification(8)
`

// call is one run of the program.
type call struct {
	app.Program
	settings    config.Config
	request     arproto.Request
	interactive bool // a person called
	onDelete    bool
}

// Main runs the program and returns its exit status.
func Main(env app.Env) int {
	c := &call{Program: app.New(env, Name)}
	c.Hint = config.MailHint
	args := c.Arguments()
	if len(args) == 0 && !env.StdinTerminal {
		c.KeepWriting()
		return c.wazuhCall()
	}
	dryRun := false
	for len(args) > 0 && (args[0] == onDeleteFlag || args[0] == dryRunFlag) {
		c.onDelete = c.onDelete || args[0] == onDeleteFlag
		dryRun = dryRun || args[0] == dryRunFlag
		args = args[1:]
	}
	switch {
	case len(args) == 0 || slices.Contains([]string{"help", "h", "--help", "-h"}, args[0]):
		fmt.Fprintf(c.Stdout, usage, app.Version)
		return app.ExitOK
	case slices.Contains([]string{"version", "--version", "-v"}, args[0]):
		fmt.Fprintf(c.Stdout, "%s version %s\n", c.Name, app.Version)
		return app.ExitOK
	case dryRun:
		return c.RunTool(append([]string{"mail", "preview"}, args...)...)
	case slices.Contains(words, args[0]) || len(args) < 3 && !isAction(args[0]) || strings.HasPrefix(args[0], "-"):
		return c.RunTool(append([]string{"mail"}, args...)...)
	}
	return c.ossecCall(args)
}

func isAction(word string) bool { return word == string(arproto.Add) || word == string(arproto.Delete) }

// ossecCall carries out a call with arguments, as ossec-execd makes it, or a person: with an address
// alone.
func (c *call) ossecCall(args []string) int {
	if len(args) == 2 {
		if _, err := arproto.ParseAddr(args[1]); err == nil {
			c.interactive = true
			args = []string{args[0], "-", args[1]}
		}
	}
	if err := misplaced(c.Name, args); err != nil && lease.FindDaemon(c.Proc, c.ParentPID) == nil {
		c.Complain(err)
		return app.ExitFailed
	}
	c.KeepWriting()
	request, err := arproto.ParseArgs(args)
	c.request = *request
	if err != nil {
		return c.fail(err)
	}
	c.configure()
	return c.notify()
}

// misplaced returns what is wrong with three words that only a person's mistake makes: an
// action, and an option or another address in the place of the user. To a daemon, a
// user may be called anything. From four words on there is an alert id, and no person types that.
func misplaced(name string, args []string) error {
	if len(args) != 3 || !isAction(args[0]) {
		return nil
	}
	user := args[1]
	if strings.HasPrefix(user, "-") && len(user) > 1 { // old agents pass "-" for none
		return fmt.Errorf("options stand before the command, as in %s --dry-run %s ADDRESS (found %s in the place of the user)",
			name, args[0], arproto.Quote(user))
	}
	if _, err := arproto.ParseAddr(user); err == nil {
		return fmt.Errorf("%s takes one address (found %s in the place of the user)", args[0], arproto.Quote(user))
	}
	return nil
}

// wazuhCall carries out a call by JSON on standard input, as wazuh-execd makes it.
func (c *call) wazuhCall() int {
	c.configure()
	conn := arproto.NewConn(c.Stdin, c.Stdout)
	request, err := conn.ReadRequest(c.settings.Wazuh.ReplyTimeout.Duration, c.settings.Wazuh.AddressFields)
	c.request = *request
	if err != nil {
		return c.fail(err)
	}
	c.onDelete = slices.Contains(request.ExtraArgs, onDeleteFlag)
	if request.Action == arproto.Add && c.wantsEnd() {
		// The daemon sends a delete only to who asks it about the add. Who wants none must
		// not ask: the next alert on the address would be aborted.
		goOn, err := conn.CheckKeys(Name, []string{request.Key()}, c.settings.Wazuh.ReplyTimeout.Duration)
		if err != nil {
			err = fmt.Errorf("asking the daemon: %w (the mail is sent all the same)", err)
			c.Complain(err)
			c.logWarning(err)
		}
		if !goOn {
			c.log(arlog.StatusSkip, arlog.Skipped(request.Addr, "the daemon already holds it"))
			return app.ExitOK
		}
	}
	return c.notify()
}

// configure reads the settings. What is sound in them counts.
func (c *call) configure() {
	var err error
	if c.settings, err = config.Load(c.Home.Settings()); err != nil {
		c.Complain(err)
	}
}

func (c *call) wantsEnd() bool { return c.onDelete || c.settings.Mail.OnDelete }

// notify puts a notice of the request into the outbox.
func (c *call) notify() int {
	if c.request.Action == arproto.Delete && !c.wantsEnd() {
		c.say("no mail at the end of a block: see %s", onDeleteFlag)
		return app.ExitOK
	}
	if err := fill(c.Home, &c.settings.Mail); err != nil {
		return c.fail(err)
	}
	box, err := enqueue(&c.Program, c.Path(), Of(&c.request, c.Now()))
	if box == nil {
		return c.fail(err)
	}
	if err != nil {
		c.Complain(err)
		if box.FirstToday(c.Now()) {
			c.logWarning(err)
		}
	}
	c.say("queued a mail about %s", c.request.Key())
	return app.ExitOK
}

// fail logs and prints why the request was not carried out, and returns the exit status.
func (c *call) fail(err error) int {
	c.Complain(err)
	c.log(arlog.StatusError, arlog.Failed(err))
	return app.ExitFailed
}

// logWarning logs what is wrong though the request was carried out.
func (c *call) logWarning(err error) { c.log("warn", "Warning: "+printable.Error(err)) }

// say prints what was done for a person.
func (c *call) say(format string, args ...any) {
	if c.interactive {
		fmt.Fprintf(c.Stdout, format+"\n", args...)
	}
}

// log adds a line about the request to notifications.log.
func (c *call) log(status arlog.Status, message string) {
	c.AppendLog(c.Home.NotificationLog(), arlog.Entry{
		Time: c.Now(), Program: c.Path(), Status: status, Addr: c.request.Addr,
		AlertID: c.request.AlertID, RuleID: c.request.RuleID, Message: message,
	}.Format())
}
