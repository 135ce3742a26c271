package notice

import (
	"fmt"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Name is what the program is called.
const Name = "email-notification"

// onDeleteFlag lets a delete announce the end of the block.
const onDeleteFlag = "--on-delete"

// Main runs email-notification and returns its exit status.
func Main(env app.Env) int {
	p := app.New(env, Name)
	p.Hint = config.MailHint
	onDelete := false
	if args := p.Arguments(); len(args) > 0 && args[0] == onDeleteFlag {
		onDelete = true
		p.Args = slices.Delete(slices.Clone(p.Args), 1, 2)
	}
	request, asked, status := p.ReadCall("mail")
	if !asked {
		return status
	}
	c := &call{Program: &p, Call: request, onDelete: onDelete}
	if c.DryRun {
		return p.RunTool(append([]string{"mail", "preview"}, p.Arguments()[1:]...)...)
	}
	return c.handle()
}

// call is one request.
type call struct {
	*app.Program
	app.Call
	onDelete bool
}

func (c *call) handle() int {
	if c.SettingsFault != nil {
		c.Complain(c.SettingsFault) // what is sound counts; the deliverer logs it
	}
	if c.Fault != nil {
		return c.fail(c.Fault)
	}
	c.onDelete = c.onDelete || c.Settings.Mail.OnDelete || slices.Contains(c.Request.ExtraArgs, onDeleteFlag)
	switch {
	case c.Request.Action == arproto.Delete && !c.onDelete:
		c.say("no mail at the end of a block: see %s", onDeleteFlag)
		return app.ExitOK
	case c.Request.Action == arproto.Add && c.onDelete && c.Conn != nil && !c.goOn():
		c.log(arlog.StatusSkip, arlog.Skipped(c.Request.Addr, "the daemon already holds it"))
		return app.ExitOK
	}
	if err := fill(c.Home, &c.Settings.Mail); err != nil { // on an agent, say, for good
		c.warn(err)
		return app.ExitFailed
	}
	box, err := enqueue(c.Program, Of(&c.Request, c.Now()))
	if box == nil {
		return c.fail(err)
	}
	c.warn(err)
	c.say("queued a mail about %s", c.Request.Key())
	return app.ExitOK
}

// goOn asks Wazuh's daemon. It sends a delete only to who asks it about the add. Who wants
// none must not ask: the next alert on the address would be aborted.
func (c *call) goOn() bool {
	goOn, err := c.Conn.CheckKeys(Name, []string{c.Request.Key()}, c.Settings.Wazuh.ReplyTimeout.Duration)
	if err != nil {
		c.warn(fmt.Errorf("asking the daemon: %w (the mail is sent all the same)", err))
	}
	return goOn
}

// fail logs and prints why the request was not carried out, and returns the exit status.
func (c *call) fail(err error) int {
	c.Complain(err)
	c.log(arlog.StatusError, arlog.Failed(err))
	return app.ExitFailed
}

// warn prints what is wrong beside the request, and logs it once a day.
func (c *call) warn(err error) { Log(c.Program).Warn(c.about(), err) }

// say prints what was done for a person.
func (c *call) say(format string, args ...any) {
	if c.ByHand {
		fmt.Fprintf(c.Stdout, format+"\n", args...)
	}
}

// log adds a line about the request to notifications.log.
func (c *call) log(status arlog.Status, message string) {
	Log(c.Program).Write(record.Entry{Status: status, Message: message, About: c.about()})
}

// about returns what a line says of the request. It has OSSEC's form, whoever asked.
func (c *call) about() arproto.Request {
	return arproto.Request{Addr: c.Request.Addr, AlertID: c.Request.AlertID, RuleID: c.Request.RuleID}
}

// Log is where a program writes what it does about notices: notifications.log.
func Log(p *app.Program) *record.Log { return &record.Log{Program: p, File: p.Home.NotificationLog()} }
