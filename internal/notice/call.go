package notice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// onDeleteFlag lets a delete announce the end of the block.
const onDeleteFlag = "--on-delete"

// Main runs the program of a channel and returns its exit status.
func Main(env app.Env, ch Channel) int {
	p := app.New(env, ch.Program)
	p.Hint = ch.Hint
	onDelete := false
	if args := p.Arguments(); len(args) > 0 && args[0] == onDeleteFlag {
		onDelete = true
		p.Args = slices.Delete(slices.Clone(p.Args), 1, 2)
	}
	request, asked, status := p.ReadCall(ch.Name)
	if !asked {
		return status
	}
	c := &call{Program: &p, Call: request, Channel: ch, onDelete: onDelete}
	if c.DryRun {
		return p.RunTool(append([]string{ch.Name, "preview"}, p.Arguments()[1:]...)...)
	}
	return c.handle()
}

// call is one request.
type call struct {
	*app.Program
	app.Call
	Channel
	onDelete bool
}

func (c *call) handle() int {
	if c.SettingsFault != nil {
		c.Complain(c.SettingsFault) // what is sound counts; the deliverer logs it
	}
	if c.Fault != nil {
		return c.fail(c.Fault)
	}
	c.onDelete = c.onDelete || c.Channel.onDelete(&c.Settings) ||
		slices.Contains(c.Request.ExtraArgs, onDeleteFlag)
	switch {
	case c.Request.Action == arproto.Delete && !c.onDelete:
		c.say("no %s at the end of a block: see %s", c.Channel.Name, onDeleteFlag)
		return app.ExitOK
	case c.Request.Action == arproto.Add && c.onDelete && c.Conn != nil && !c.goOn():
		c.log(arlog.StatusSkip, arlog.Skipped(c.Request.Addr, "the daemon already holds it"))
		return app.ExitOK
	}
	if err := c.unset(c.Home, &c.Settings); err != nil { // on an agent, say, for good
		c.warn(err)
		return app.ExitFailed
	}
	n := Of(&c.Request, c.Now())
	fromCall := func(s config.Chat) bool { return s.FromCall }
	if c.Channel.Name == Chat.Name && slices.ContainsFunc(c.Settings.Chat, fromCall) {
		n.Hooks = hooks(c.Request.ExtraArgs)
	}
	box, err := c.enqueue(c.Program, n)
	if box == nil {
		return c.fail(err)
	}
	c.warn(err)
	c.say("queued a notice about %s", c.Request.Key())
	return app.ExitOK
}

// goOn asks Wazuh's daemon. It sends a delete only to who asks it about the add. Who wants
// none must not ask: the next alert on the address would be aborted.
func (c *call) goOn() bool {
	goOn, err := c.Conn.CheckKeys(c.Channel.Program, []string{c.Request.Key()},
		c.Settings.Wazuh.ReplyTimeout.Duration)
	if err != nil {
		c.warn(fmt.Errorf("asking the daemon: %w (the notice is sent all the same)", err))
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

// hookStart is how Slack's incoming webhooks begin.
const hookStart = "https://hooks.slack.com/services/"

// hooks returns the webhooks of Slack among the arguments that came with a call, as Wazuh's own
// response has one there. Nothing else of a call says where to send.
func hooks(args []string) (found []string) {
	const maxHook = 300
	for _, text := range strings.Fields(strings.Join(args, " ")) {
		path, is := strings.CutPrefix(text, hookStart)
		odd := func(r rune) bool {
			return r != '/' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}
		if is && path != "" && len(text) <= maxHook && !strings.ContainsFunc(path, odd) {
			found = append(found, text)
		}
	}
	return found
}
