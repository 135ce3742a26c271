// Package control is ossec-ar, the administrator's tool: what is blocked by which response and
// why, blocking and freeing by hand, and the upkeep that keeps the host as the leases want it. It
// works on any kinds of enforcers and knows none of them. Daemons never call it.
package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// Name is the program's, also in the leases that a person takes.
const Name = "ossec-ar"

// memory is what a list of a hundred thousand addresses should keep to, in bytes.
const memory = 22 << 20

// tool is one run of ossec-ar.
type tool struct {
	app.Program
	all    []enforcer.Kind
	chosen []enforcer.Kind // by --response; all without it
	only   string          // the response that was named, "" for none
	dryRun bool

	settings      config.Config
	settingsFault error
}

// Main runs ossec-ar over these kinds and returns its exit status. The first kind is the one that
// a person blocks with who names none.
func Main(env app.Env, kinds ...enforcer.Kind) int {
	debug.SetMemoryLimit(memory) // a host under attack is short of it
	t := &tool{Program: app.New(env, Name), all: kinds, chosen: kinds}
	t.Name = Name
	if t.Resolver == nil {
		t.Resolver = &net.Resolver{PreferGo: true}
	}
	t.Home = ossec.FindToolHome(t.Invoked, t.Executable, t.Dir, t.OssecHome)
	t.Hint = t.hint
	return t.run(context.Background(), t.Arguments())
}

// hint returns advice on an error for a person.
func (t *tool) hint(err error) string {
	for _, kind := range t.chosen {
		if kind.Hint == nil {
			continue
		}
		if text := kind.Hint(err); text != "" {
			return text
		}
	}
	return notify.Hint(err)
}

// say answers the person.
func (t *tool) say(format string, args ...any) { fmt.Fprintf(t.Stdout, format+"\n", args...) }

// fail reports an error and returns the exit status.
func (t *tool) fail(err error) int {
	t.Complain(err)
	return app.ExitFailed
}

// load reads the settings; what is sound in them counts.
func (t *tool) load() { t.settings, t.settingsFault = config.Load(t.Home.Settings()) }

// response is one response as a command works on it.
type response struct {
	*hold.Holder
	log record.Log
}

// open returns one response. With look, nothing is made or changed by opening it.
func (t *tool) open(kind enforcer.Kind, look bool) (*response, error) {
	holder, err := hold.Open(kind, hold.Options{
		Home: t.Home, Settings: t.settings, Now: t.Now, Proc: t.Proc, ReadOnly: look || t.dryRun,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind.Name, err)
	}
	p := t.Program
	p.Invoked = t.Home.Programs() + "/" + kind.Name // log rules know the response by this path
	return &response{holder, record.Log{Program: &p, JSON: t.settings.Log.JSON, Off: t.dryRun}}, nil
}

// openAll returns the chosen responses. One that cannot be opened is reported, and failed is set.
func (t *tool) openAll(look bool) (all []*response, failed bool) {
	for _, kind := range t.chosen {
		r, err := t.open(kind, look)
		if err != nil {
			t.Complain(err)
			failed = true
			continue
		}
		all = append(all, r)
	}
	return all, failed
}

// used reports whether the response ever leased an address. What was never used is not set up, so
// that a host without iptables can use the others.
func (r *response) used() bool {
	_, err := os.Lstat(r.Leases.Path())
	return !errors.Is(err, os.ErrNotExist)
}

// absent reports whether an error says that this host lacks the program that a response needs.
func absent(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// about returns an error about this response.
func (r *response) about(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", r.Kind.Name, err)
}

// whitelist returns the whitelist in a form for many addresses.
func (t *tool) whitelist() (*whitelist.Sieve, []error) {
	list, err := neverblock.List(t.Home, t.settings.Whitelist, t.Now())
	sieve := list.Sieve()
	faults := list.Faults()
	if err != nil {
		faults = append(faults, err)
	}
	return sieve, faults
}

// address reads an address that a person typed.
func address(text string) (arproto.Request, error) {
	addr, err := arproto.ParseAddr(text)
	var bad *arproto.AddressError
	switch {
	case err == nil:
		return arproto.Request{Addr: addr}, nil
	case strings.Contains(text, "/"):
		return arproto.Request{}, fmt.Errorf("%s is a network: only single addresses are blocked",
			printable.Line(text))
	case errors.As(err, &bad):
		return arproto.Request{}, fmt.Errorf("%s is no address to block: %s",
			printable.Line(text), bad.Reason)
	}
	return arproto.Request{}, err
}

// who reads an address, or the name of an account where one of the chosen responses is about these.
func (t *tool) who(text string) (arproto.Request, error) {
	request, err := address(text)
	ofAccounts := func(k enforcer.Kind) bool { return k.Accounts }
	if err == nil || strings.ContainsAny(text, "./:") || !slices.ContainsFunc(t.chosen, ofAccounts) {
		return request, err
	}
	return arproto.Request{User: text}, nil
}

// about returns the target of a request, and request the request about a target.
func about(r arproto.Request) target.Target {
	if r.Addr.IsValid() {
		return target.Of(r.Addr)
	}
	return target.Account(r.User)
}

func request(t target.Target) arproto.Request {
	return arproto.Request{Addr: t.Addr(), User: t.Account()}
}

// width returns the columns of the terminal, 0 when standard output is none.
func (t *tool) width() int {
	if !t.StdoutTerminal {
		return 0
	}
	if file, ok := t.Stdout.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return 80
}

// colour returns text in a colour on a terminal, unless $NO_COLOR is set.
func (t *tool) colour(code, text string) string {
	if !t.StdoutTerminal || t.NoColor || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// The colours, as ANSI codes.
const (
	good  = "32"
	bad   = "31"
	alert = "33"
	bold  = "1"
)

// when writes a time for a person: the time of day for today, else the date too.
func (t *tool) when(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	now := t.Now()
	at = at.In(now.Location())
	switch {
	case at.YearDay() == now.YearDay() && at.Year() == now.Year():
		return at.Format("15:04:05")
	case now.Sub(at).Abs() < 300*24*time.Hour:
		return at.Format("Jan _2 15:04")
	}
	return at.Format("2006-01-02")
}

// count writes a number of things.
func count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "s"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
