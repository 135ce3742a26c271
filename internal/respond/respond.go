// Package respond is the one flow that all blocking responses share: read the call,
// ask the whitelist, take or give back the lease, put the block in force or lift it,
// and log what is now true. It is also the command line of the same programs. What a
// block is, it leaves to the enforcer.
//
// Protection comes first: when configuration, leases, log or the daemon's answer fail,
// the block is still made and still lifted, and the failure is told.
package respond

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ecs"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// Response is one blocking response.
type Response struct {
	Name    string   // "firewall-drop"
	Summary string   // what it does, for the help text
	Manual  []string // paragraphs of its own for the manual page
	// Lasting tells that its blocks are in a file, which outlives a reboot and in which
	// the administrator may have entries of his own that look the same.
	Lasting bool
	// New makes its enforcer. Nothing may be run or changed by it.
	New func(Setup) (enforcer.Enforcer, error)
	// Caveat, when set, says why a block may have no effect on this host, "" for none. It
	// may take a while: only a person who blocks by hand is told.
	Caveat func() string
	// Hint, when set, gives advice on an error for a person, "" for none.
	Hint func(error) string
}

// Setup is what an enforcer is made from.
type Setup struct {
	Config config.Config
	state  string // the state folder; "" when there is none that can be used
}

// StateFile returns the path of a file in the state folder, "" when there is no folder
// that can be used.
func (s Setup) StateFile(name string) string {
	if s.state == "" {
		return ""
	}
	return filepath.Join(s.state, name)
}

// call is one run of a response.
type call struct {
	app.Program
	response Response
	config   config.Config
	enforcer enforcer.Enforcer
	store    *lease.Store
	daemon   *lease.Daemon // that called, as it was in the beginning: it may end meanwhile
	// told are the faults of the leases that have been logged.
	told  map[string]bool
	never *whitelist.Sieve // see neverBlocked
	// about is the request at hand, for log lines.
	about   arproto.Request
	person  bool // a person called it, not a daemon
	dryRun  bool
	looking bool // nothing is to be changed
}

// Main runs the response and returns its exit status.
func Main(env app.Env, response Response) int {
	p := &call{Program: app.New(env, response.Name), response: response}
	p.Hint = response.Hint
	args := p.Arguments()
	ctx := context.Background()
	wazuh := len(args) == 0 && !env.StdinTerminal
	if !wazuh && command.ForPerson(args, personal...) {
		p.person = true
		return p.commandLine(ctx, args)
	}
	p.KeepWriting()
	p.daemon = lease.FindDaemon(p.Proc, p.ParentPID)
	if wazuh {
		return p.wazuhCall(ctx)
	}
	return p.ossecCall(ctx, args)
}

// readConfig reads the configuration. Faults in it are logged: what is sound counts.
func (p *call) readConfig() {
	settings, err := config.Load(p.Home.Settings())
	p.config = settings
	if err != nil {
		p.logFault(err)
	}
}

// setUp reads the configuration and makes what works on it.
func (p *call) setUp() error {
	p.readConfig()
	return p.prepare()
}

// prepare makes what works on the configuration.
func (p *call) prepare() (err error) {
	settings := p.config
	p.store = lease.New(p.Home.State(), p.response.Name)
	p.store.Wait = settings.Lease.LockTimeout.Duration
	p.store.Now = p.Now
	setup := Setup{Config: settings}
	ready := state.MakeDir
	if p.dryRun || p.looking {
		ready = state.CheckDir
	}
	if ready(p.Home.State()) == nil { // the lease store tells why not
		setup.state = p.Home.State()
	}
	p.enforcer, err = p.response.New(setup)
	return err
}

// ossecCall carries out a call with arguments, as ossec-execd makes it.
func (p *call) ossecCall(ctx context.Context, args []string) int {
	request, err := arproto.ParseArgs(args)
	p.about = *request
	if err != nil {
		p.readConfig() // it says how to log
		return p.fail(err)
	}
	if len(args) == 3 && p.StdinTerminal && args[1] != "" && args[1][0] == '-' && len(args[1]) > 1 {
		return p.fail(fmt.Errorf("options stand before the command, as in %s --dry-run add ADDRESS (found %s in the place of the user)",
			p.Name, arproto.Quote(args[1])))
	}
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	return p.handle(ctx, nil)
}

// wazuhCall carries out a call by JSON on standard input, as wazuh-execd makes it.
func (p *call) wazuhCall(ctx context.Context) int {
	p.about.Dialect = arproto.Wazuh4 // for the log, until the request tells
	if err := p.setUp(); err != nil {
		return p.fail(err)
	}
	conn := arproto.NewConn(p.Stdin, p.Stdout)
	request, err := conn.ReadRequest(p.config.Wazuh.ReplyTimeout.Duration, p.config.Wazuh.AddressFields)
	p.about = *request
	if err != nil {
		return p.fail(err)
	}
	return p.handle(ctx, conn)
}

// fail logs an error line about the request at hand, prints the error, and returns the
// exit status.
func (p *call) fail(err error) int {
	p.Complain(err)
	p.log(arlog.StatusError, arlog.Failed(err))
	return app.ExitFailed
}

// logFault tells of something that did not keep the response from its work.
func (p *call) logFault(err error) {
	p.Complain(err)
	p.log(arlog.StatusError, arlog.Failed(fmt.Errorf("%w (the response went on without it)", err)))
}

// say tells a person what was done. The daemons read nothing, and standard output
// belongs to the protocol there.
func (p *call) say(format string, args ...any) {
	if p.person {
		fmt.Fprintf(p.Stdout, format+"\n", args...)
	}
}

// entry makes the log entry for the request at hand.
func (p *call) entry(status arlog.Status, message string) arlog.Entry {
	return arlog.Entry{
		Time: p.Now(), Program: p.Path(), Status: status,
		Addr: p.about.Addr, AlertID: p.about.AlertID, RuleID: p.about.RuleID,
		Message: message, Wazuh: p.about.Dialect.JSON(), JSON: p.about.JSON,
	}
}

// log writes a line; when that fails it says so on standard error, and the response
// goes on.
func (p *call) log(status arlog.Status, message string) {
	p.logEntries([]arlog.Entry{p.entry(status, message)})
}

// logEntries writes the lines of all entries with one write for each log.
func (p *call) logEntries(entries []arlog.Entry) {
	if p.dryRun || len(entries) == 0 {
		return
	}
	var lines, documents []byte
	host := ""
	if p.config.Log.JSON {
		host, _ = os.Hostname() // a document without its host is worth more than none
	}
	for _, e := range entries {
		lines = append(lines, e.Format()...)
		if !p.config.Log.JSON {
			continue
		}
		about := p.about
		about.Addr = e.Addr
		document, err := ecs.Line(e, about, host)
		if err != nil {
			p.Complain(fmt.Errorf("writing the JSON log: %w", err))
			continue
		}
		documents = append(documents, document...)
	}
	p.AppendLog(p.Home.ResponseLog(), lines)
	if len(documents) > 0 {
		p.AppendLog(p.Home.JSONLog(), documents)
	}
}

// InstallHint advises to install a program that was not found.
func InstallHint(err error, what string) string {
	if errors.Is(err, exec.ErrNotFound) {
		return "install " + what + " with the system's package manager"
	}
	return ""
}
