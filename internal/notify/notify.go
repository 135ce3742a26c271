// Package notify tells people by mail of what the responses did: it takes the call of
// OSSEC or Wazuh, finds the alert and how the address stands, writes the mail, and sends
// it from a queue on disk that loses nothing and floods nobody.
//
// The call itself does no more than to put itself into the queue and to start a process
// that does the rest, for the daemons wait, or start hundreds at once. That process, the
// deliverer, is alone at its work: it holds a lock.
//
// The package refuses to say that an address is blocked unless a response holds it, to
// show a password to anybody but the server that it belongs to, and to let anything from
// an alert out of its place in a mail: all of it is text that an attacker chose.
package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const (
	// Name is what the program is called.
	Name = "email-notification"
	// deliverCommand is what a program starts itself as to deliver.
	deliverCommand = "deliver"
)

// call is one run of the program.
type call struct {
	app.Program
	config   config.Config
	settings Settings
	fault    error // in the settings; what is sound counts
	about    arproto.Request
	person   bool
	dryRun   bool
	onDelete bool
}

// Main runs the program and returns its exit status.
func Main(env app.Env) int {
	c := &call{Program: app.New(env, Name)}
	c.Hint = Hint
	args := c.Arguments()
	ctx := context.Background()
	wazuh := len(args) == 0 && !env.StdinTerminal
	if !wazuh && command.ForPerson(args, personal...) {
		c.person = true
		return c.commandLine(ctx, args)
	}
	c.KeepWriting()
	if wazuh {
		return c.wazuhCall()
	}
	if err := command.Misplaced(c.Name, args); err != nil && lease.FindDaemon(c.Proc, c.ParentPID) == nil {
		c.Complain(err)
		return app.ExitFailed
	}
	return c.ossecCall(args)
}

// setUp reads the configuration. Faults do not stop the notification: what is sound
// counts, and the deliverer, which reads it too, logs them.
func (c *call) setUp() {
	var err error
	if c.config, err = config.Load(c.Home.Settings()); err != nil {
		c.Complain(err)
	}
	c.settings, c.fault = LoadSettings(c.Home, c.config.Mail)
}

// ossecCall carries out a call with arguments, as ossec-execd makes it.
func (c *call) ossecCall(args []string) int {
	request, err := arproto.ParseArgs(args)
	c.about = *request
	if err != nil {
		return c.fail(err)
	}
	c.setUp()
	return c.notify()
}

// wazuhCall carries out a call by JSON on standard input, as wazuh-execd makes it.
func (c *call) wazuhCall() int {
	c.setUp()
	conn := arproto.NewConn(c.Stdin, c.Stdout)
	request, err := conn.ReadRequest(c.config.Wazuh.ReplyTimeout.Duration, c.config.Wazuh.AddressFields)
	c.about = *request
	if err != nil {
		return c.fail(err)
	}
	c.onDelete = slices.Contains(request.ExtraArgs, "--on-delete")
	if request.Action == arproto.Add && c.wantsEnd() {
		// The daemon sends a delete only to who asks it about the add. Who wants none must
		// not ask: the next alert on the address would be aborted.
		goOn, err := conn.CheckKeys(Name, []string{request.Key()}, c.config.Wazuh.ReplyTimeout.Duration)
		if err != nil {
			c.logFault(fmt.Errorf("asking the daemon: %w (the mail is sent all the same)", err))
		}
		if !goOn {
			c.log(arlog.StatusSkip, arlog.Skipped(request.Addr, "the daemon already holds it"))
			return app.ExitOK
		}
	}
	return c.notify()
}

func (c *call) wantsEnd() bool { return c.onDelete || c.config.Mail.OnDelete }

// notify puts the request at hand into the queue and starts its delivery.
func (c *call) notify() int {
	if c.about.Action == arproto.Delete && !c.wantsEnd() {
		return app.ExitOK
	}
	if c.settings.notSet != nil {
		return c.fail(c.fault)
	}
	if c.fault != nil {
		c.Complain(c.fault)
	}
	e := newEvent(&c.about, c.path(), c.Now())
	if c.dryRun {
		return c.show(e)
	}
	q, err := makeQueue(c.Home.MailQueue())
	if err == nil {
		err = q.add(e)
	}
	if err != nil {
		return c.fail(err)
	}
	if err := q.start(&c.Program); err != nil {
		c.logFault(fmt.Errorf("%w (the mail waits for the next flush)", err))
	}
	c.say("queued a mail about %s", c.about.Key())
	if errors.Is(c.fault, errPassword) {
		return app.ExitFailed // it waits until that has been mended
	}
	return app.ExitOK
}

// path is the program as it stands in log lines: OSSEC's decoder wants a whole path.
func (c *call) path() string { return absolute(c.Invoked, c.Dir) }

// fail logs an error line about the request at hand, prints the error, and returns the
// exit status.
func (c *call) fail(err error) int {
	c.Complain(err)
	c.log(arlog.StatusError, arlog.Failed(err))
	return app.ExitFailed
}

// logFault tells of something that did not keep the program from its work.
func (c *call) logFault(err error) {
	c.Complain(err)
	c.log(arlog.StatusError, arlog.Failed(fmt.Errorf("%w (the notification went on without it)", err)))
}

// say tells a person what was done.
func (c *call) say(format string, args ...any) {
	if c.person {
		fmt.Fprintf(c.Stdout, format+"\n", args...)
	}
}

// log adds a line about the request at hand to notifications.log.
func (c *call) log(status arlog.Status, message string) {
	if c.dryRun {
		return
	}
	c.appendLog(arlog.Entry{
		Time: c.Now(), Program: c.path(), Status: status, Addr: c.about.Addr,
		AlertID: c.about.AlertID, RuleID: c.about.RuleID, Message: message,
	}.Format())
}

func (c *call) appendLog(lines []byte) { c.AppendLog(c.Home.NotificationLog(), lines) }

// deliverer returns one that works with the real outside.
func (c *call) deliverer(q *queue) *deliverer {
	return &deliverer{
		queue: q, home: c.Home, now: c.Now, lookup: c.Resolver, program: c.path(), log: c.appendLog,
		send: func(ctx context.Context, s Settings, to []string, message []byte) (map[string]error, error) {
			return send(ctx, s, to, message, nil)
		},
	}
}
