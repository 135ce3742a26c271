// Package check answers "why is it not blocking?": it looks at all that a response rests
// on, from ossec.conf to the kernel, and says of each thing whether it is as it should
// be and, where not, which command or edit mends it. It changes nothing; only a live
// check blocks an address, one that is nobody's, and frees it again.
package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
)

// Finding is one row.
type Finding = enforcer.Finding

// Inspector is an enforcer that can look itself over: chains, jumps, sets, files. It
// changes nothing. root is what the system's own files are under: "/" outside tests.
type Inspector interface {
	Inspect(ctx context.Context, root string) []Finding
}

// Subject is the response that is looked at.
type Subject struct {
	Name     string // "firewall-drop", whatever alias it was called by
	Config   config.Config
	Settings error // what is wrong in active-response.toml
	// Store holds its leases, nil for one that blocks nobody.
	Store *lease.Store
	// Enforcer is nil for one that blocks nobody, and when Failure says why there is none.
	Enforcer enforcer.Enforcer
	Failure  error
	Lasting  bool // its blocks outlive a reboot, and some may be the administrator's own
	// FromCron is set when no daemon calls it.
	FromCron bool
	// Jobs are what has to run now and then.
	Jobs []Job
	// Logs are what it writes beside the log of all responses.
	Logs []string
	// Extra looks at what only this response has.
	Extra func(context.Context) []Finding
}

// Options are what a person asks for.
type Options struct {
	JSON bool
	Live bool // block an address that is nobody's, and free it again
}

// timeLimit bounds a whole check.
const timeLimit = 2 * time.Minute

// Run looks at everything, prints what it found, and returns the exit status: ExitFailed
// when there is a fault.
func Run(ctx context.Context, p app.Program, subject Subject, options Options) int {
	return newHost(p, subject).run(ctx, options)
}

func (h *host) run(ctx context.Context, options Options) int {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	rows := h.findings(ctx)
	if options.Live {
		rows = append(rows, h.live(ctx)...)
	}
	if err := h.print(rows, options.JSON); err != nil {
		h.Complain(fmt.Errorf("writing the findings: %w", err))
		return app.ExitFailed
	}
	if slices.ContainsFunc(rows, func(f Finding) bool { return f.Verdict == enforcer.Fault }) {
		return app.ExitFailed
	}
	return app.ExitOK
}

// topic is one thing to look at, and on which hosts.
type topic struct {
	what string
	on   scope
	look func(*host, context.Context) []Finding
}

type scope int

const (
	everywhere scope = iota
	servers          // agents do not have what is looked at
	called           // responses that a daemon calls
	calledOnServers
	blocking // responses that block
)

var topics = []topic{
	{"rights", everywhere, (*host).rights},
	{"ossec.conf", everywhere, (*host).confFile},
	{"active-response.toml", everywhere, (*host).settingsFile},
	{"active response", called, (*host).disabled},
	{"rules", servers, (*host).ruleSections},
	{"blocks", servers, (*host).responseBlocks},
	{"commands", calledOnServers, (*host).commands},
	{"order", servers, (*host).order},
	{"level", servers, (*host).levels},
	{"rules_id", servers, (*host).ruleLists},
	{"timeout", servers, (*host).timeouts},
	{"repeated_offenders", called, (*host).repeats},
	{"executable", everywhere, (*host).executables},
	{"ar.conf", called, (*host).responseList},
	{"daemons", called, (*host).daemons},
	{"white_list", everywhere, (*host).whiteList},
	{"own addresses", blocking, (*host).ownAddresses},
	{"enforcer", blocking, (*host).inspect},
	{"leases", blocking, (*host).leases},
	{"log", everywhere, (*host).logs},
	{"localfile", everywhere, (*host).localFiles},
	{"clock", everywhere, (*host).clock},
	{"mail", called, (*host).mail},
	{"cron", everywhere, (*host).schedule},
}

func (h *host) findings(ctx context.Context) []Finding {
	var rows []Finding
	for _, t := range topics {
		found := h.excuse(t.on)
		if found == nil {
			found = t.look(h, ctx)
		}
		for _, f := range found {
			if f.What == "" {
				f.What = t.what
			}
			rows = append(rows, f)
		}
	}
	if h.subject.Extra != nil {
		rows = append(rows, h.subject.Extra(ctx)...)
	}
	return rows
}

// excuse returns why a topic is passed over, nil when it is not.
func (h *host) excuse(on scope) []Finding {
	switch {
	case on != everywhere && on != servers && h.subject.FromCron:
		return []Finding{} // no row at all: the question makes no sense
	case on == blocking && h.subject.Store == nil:
		return []Finding{}
	case (on == servers || on == calledOnServers) && h.conf.agent():
		return []Finding{skip("only a server has it, this is an agent")}
	case (on == servers || on == calledOnServers) && h.conf.unread:
		return []Finding{skip("ossec.conf could not be read")}
	}
	return nil
}

func ok(format string, args ...any) Finding {
	return Finding{Verdict: enforcer.OK, Found: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) Finding {
	return Finding{Verdict: enforcer.Skip, Found: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) Finding {
	return Finding{Verdict: enforcer.Warn, Found: fmt.Sprintf(format, args...), Mend: mend}
}

func fault(mend, format string, args ...any) Finding {
	return Finding{Verdict: enforcer.Fault, Found: fmt.Sprintf(format, args...), Mend: mend}
}

// orOK returns the findings, or that all is well when there is none.
func orOK(found []Finding, format string, args ...any) []Finding {
	if len(found) == 0 {
		return []Finding{ok(format, args...)}
	}
	return found
}

// some joins a few of many, and says how many more there are.
func some(texts []string) string {
	const most = 5
	if len(texts) <= most {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), len(texts)-most)
}

// Command is `check` for the command line of a program; blocks says whether it is one that
// blocks, so that there is something to try.
func Command(blocks bool, run func(context.Context, Options) error) *cli.Command {
	flags := []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "as JSON"}}
	if blocks {
		flags = append(flags, &cli.BoolFlag{Name: "live", Usage: "block an address of TEST-NET (192.0.2.x) too, look for it, and free it again"})
	}
	return &cli.Command{
		Name: "check", Usage: "say why it is not working, and what mends it; exit 1 on a fault", HideHelpCommand: true, Flags: flags,
		Action: func(c *cli.Context) error {
			return run(c.Context, Options{JSON: c.Bool("json"), Live: c.Bool("live")})
		},
	}
}
