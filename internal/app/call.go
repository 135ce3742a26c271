package app

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Call is one request to a response, and how it came.
type Call struct {
	Request arproto.Request
	// Fault is what is wrong with the request; it holds what could be read all the same.
	Fault error
	// Conn asks the Wazuh daemon that called; nil for any other caller.
	Conn *arproto.Conn
	// ByHand reports that a person typed it: he is answered on standard output.
	ByHand bool
	DryRun bool // only say what would be done
	// Daemon is OSSEC's or Wazuh's daemon that called, found before anything else is done; nil for
	// any other caller.
	Daemon *lease.Daemon

	Settings config.Config
	// SettingsFault is what is wrong with the settings; what is sound counts.
	SettingsFault error
}

// ReadCall reads how the program was called. A request of OSSEC (by arguments), of Wazuh (JSON on
// standard input) or of a person (`add|delete ADDRESS`) is returned; what is wrong with it stands in
// its Fault. Anything else is done with, and asked is false and status the exit status: words are
// ossec-ar's, which takes the place of this process, with toTool before them.
func (p *Program) ReadCall(toTool ...string) (c Call, asked bool, status int) {
	args := p.Arguments()
	switch {
	case len(args) == 0 && !p.StdinTerminal:
		p.KeepWriting()
		c.Daemon = lease.FindDaemon(p.Home, p.Proc, p.ParentPID)
		p.loadSettings(&c)
		c.Conn = arproto.NewConn(p.Stdin, p.Stdout)
		request, err := c.Conn.ReadRequest(c.Settings.Wazuh.ReplyTimeout.Duration,
			c.Settings.Wazuh.AddressFields)
		c.Request, c.Fault = *request, p.ignoring(err)
		return c, true, 0
	case len(args) == 0 || slices.Contains([]string{"help", "--help", "-h"}, args[0]):
		return c, false, p.usage()
	case slices.Contains([]string{"version", "--version", "-v"}, args[0]):
		fmt.Fprintf(p.Stdout, "%s version %s\n", p.Name, Version)
		return c, false, ExitOK
	}
	c.DryRun = args[0] == "--dry-run"
	if c.DryRun {
		args = args[1:]
	}
	if len(args) == 0 || !isAction(args[0]) {
		return c, false, p.RunTool(append(slices.Clone(toTool), p.Arguments()...)...)
	}
	c.Daemon = lease.FindDaemon(p.Home, p.Proc, p.ParentPID)
	c.ByHand = c.DryRun || len(args) <= 2 && c.Daemon == nil
	if c.Daemon == nil {
		if err := p.mistake(args, c.ByHand); err != nil {
			p.Complain(err)
			return c, false, ExitFailed
		}
	}
	if !c.ByHand {
		p.KeepWriting()
	} else if !c.DryRun && !p.MayWork() {
		p.Complain(fmt.Errorf("%s needs root", p.Name))
		p.Advise("run it as root, as with sudo")
		return c, false, ExitFailed
	}
	if c.ByHand && len(args) == 2 {
		args = []string{args[0], "-", args[1]}
		if p.Accounts {
			args[1], args[2] = args[2], "-"
		}
	}
	p.loadSettings(&c)
	request, err := arproto.ParseArgs(args)
	c.Request, c.Fault = *request, p.ignoring(err)
	return c, true, 0
}

// ignoring returns err, unless it is about an address that does not matter.
func (p *Program) ignoring(err error) error {
	var address *arproto.AddressError
	if p.Accounts && errors.As(err, &address) {
		return nil
	}
	return err
}

func (p *Program) loadSettings(c *Call) { c.Settings, c.SettingsFault = config.Load(p.Home) }

func isAction(word string) bool { return word == string(arproto.Add) || word == string(arproto.Delete) }

// mistake returns what only a person who mistyped would say: no address, one that is none, an
// option or a second address in the place of the user. Where a daemon called, a user may be named
// anything; from four words on there is an alert id, which no person types.
func (p *Program) mistake(args []string, byHand bool) error {
	action := args[0]
	switch {
	case len(args) == 1 && p.Accounts:
		return fmt.Errorf("%s takes an account, as in %s mallory", action, action)
	case p.Accounts:
		return nil
	case len(args) == 1:
		return fmt.Errorf("%s takes an address, as in %s 203.0.113.7", action, action)
	case byHand && len(args) == 2:
		_, err := arproto.ParseAddr(args[1])
		return err
	case len(args) != 3:
		return nil
	}
	user := args[1]
	if strings.HasPrefix(user, "-") && len(user) > 1 { // old agents pass "-" for none
		return fmt.Errorf("options stand before the command, as in %s --dry-run %s ADDRESS "+
			"(found %s in the place of the user)",
			p.Name, action, arproto.Quote(user))
	}
	if _, err := arproto.ParseAddr(user); err == nil {
		return fmt.Errorf("%s takes one address (found %s in the place of the user)",
			action, arproto.Quote(user))
	}
	return nil
}

// errNoAddress is a call of OSSEC whose <command> expects no address.
var errNoAddress = errors.New("no address in the request: the <command> in ossec.conf needs " +
	"<expect>srcip</expect>, or the alert has none")

// errNoAccount is a call that names no account.
var errNoAccount = errors.New("no account in the request: the <command> in ossec.conf needs " +
	"<expect>user</expect>, or the alert has none (Wazuh: data.dstuser, user.name)")

// NoTarget returns the error of a request without the account, or the address, that it has to name.
func (c *Call) NoTarget(accounts bool) error {
	switch {
	case accounts:
		return errNoAccount
	case !c.Request.Dialect.JSON():
		return errNoAddress
	}
	fields := c.Settings.Wazuh.AddressFields
	if fields == nil {
		fields = arproto.DefaultAddressFields()
	}
	return fmt.Errorf("no address in the request: none of wazuh.address_fields holds one (%s)",
		strings.Join(fields, ", "))
}

// usage prints how a response is called.
func (p *Program) usage() int {
	text := `As ossec-execd calls it:
    %[1]s add|delete USER IP [ALERTID RULEID ...]
As wazuh-execd calls it, with one line of JSON:
    %[1]s < REQUEST
By hand; with --dry-run it only says what it would do:
    %[1]s [--dry-run] add|delete ADDRESS

Everything else is done with ossec-ar: see "ossec-ar help".
`
	of := map[bool]string{true: "ACCOUNT", false: "ADDRESS"}[p.Accounts]
	if _, err := io.WriteString(p.Stdout, fmt.Sprintf(text, p.Name, of)); err != nil {
		p.Complain(fmt.Errorf("writing the usage: %w", err))
		return ExitFailed
	}
	return ExitOK
}
