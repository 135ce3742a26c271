// Package check answers "why is it not blocking?": it looks at all that the responses rest
// on, from ossec.conf to the kernel, and says of each thing whether it is as it should
// be and, where not, which command or edit mends it. It changes nothing; only a live
// check blocks an address, one that is nobody's, and frees it again.
package check

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// Finding is one row.
type Finding = enforcer.Finding

// Inspector is an enforcer that can look itself over: chains, jumps, sets, files. It
// changes nothing. root is what the system's own files are under: "/" outside tests.
type Inspector interface {
	Inspect(ctx context.Context, root string) []Finding
}

// Subject is a program that is looked at.
type Subject struct {
	Name string // "firewall-drop"
	Path string // of its file; "" for the one of that name among the responses
	// Hold is what it blocks with; nil for one that blocks nobody, and where Failure says why
	// there is none.
	Hold    *hold.Holder
	Failure error
	// FromCron is set when no daemon calls it.
	FromCron bool
	// Jobs are what has to run now and then.
	Jobs []Job
	// Logs are what it writes beside the log of all responses.
	Logs []string
	// Extra looks at what only this program has.
	Extra func(context.Context) []Finding
}

// blocks reports whether it is a response that blocks.
func (s *Subject) blocks() bool { return s.Hold != nil || s.Failure != nil }

// Options are what a person asks for.
type Options struct {
	JSON bool
	Live bool   // block an address that is nobody's, and free it again
	Root string // what the system's own files are under; "" is "/"
	// Width is that of the terminal, 0 for none.
	Width int

	Settings      config.Config
	SettingsFault error // what is wrong in active-response.toml
}

// timeLimit bounds a whole check.
const timeLimit = 2 * time.Minute

// Run looks at everything that the subjects rest on, prints what it found, and returns the exit
// status: ExitFailed when there is a fault. Of several responses, those that nothing on this host
// uses are skipped.
func Run(ctx context.Context, p app.Program, o Options, subjects ...Subject) int {
	return newHost(p, o, subjects).run(ctx)
}

func (h *host) run(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	rows := h.findings(ctx)
	if err := h.print(rows, h.JSON); err != nil {
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
	look func(context.Context) []Finding
}

type scope int

const (
	everywhere scope = iota
	servers          // agents do not have what is looked at
	called           // responses that a daemon calls
	calledOnServers
	blocking // responses that block
)

// shared are what all subjects have in common.
func (h *host) shared() []topic {
	conf, blocks, log := configuration{h}, responses{h}, logs{h}
	return []topic{
		{"rights", everywhere, h.rights},
		{"ossec.conf", everywhere, conf.confFile},
		{"active-response.toml", everywhere, conf.settingsFile},
		{"active response", everywhere, blocks.disabled},
		{"rules", servers, conf.ruleSections},
		{"blocks", servers, blocks.responseBlocks},
		{"order", servers, blocks.order},
		{"level", servers, blocks.levels},
		{"rules_id", servers, blocks.ruleLists},
		{"timeout", servers, blocks.timeouts},
		{"repeated_offenders", everywhere, blocks.repeats},
		{"daemons", everywhere, daemons{h}.running},
		{"white_list", everywhere, whiteList{h}.entries},
		{"own addresses", everywhere, whiteList{h}.ownAddresses},
		{"log", everywhere, log.writable},
		{"localfile", everywhere, log.localFiles},
		{"clock", everywhere, log.clock},
	}
}

// single are what each subject has for itself.
func (h *host) single() []topic {
	return []topic{
		{"commands", calledOnServers, responses{h}.commands},
		{"executable", everywhere, executables{h}.all},
		{"ar.conf", called, daemons{h}.responseList},
		{"enforcer", blocking, enforcement{h}.inspect},
		{"leases", blocking, enforcement{h}.leases},
		{"cron", everywhere, schedule{h}.jobs},
	}
}

func (h *host) findings(ctx context.Context) []Finding {
	rows := h.look(ctx, h.shared())
	responses, used, calls := 0, 0, 0
	for i := range h.subjects {
		if h.subject = &h.subjects[i]; h.subject.FromCron {
			continue
		}
		if responses++; h.inUse() {
			used++
		}
		if h.calledByDaemon() {
			calls++
		}
	}
	for i := range h.subjects {
		h.subject = &h.subjects[i]
		h.byHand = calls > 0 && !h.calledByDaemon()
		name := h.subject.Name + " "
		switch {
		case h.subject.FromCron:
		case responses == 1:
			name = ""
		case used > 0 && !h.inUse():
			rows = append(rows, Finding{What: h.subject.Name, Verdict: enforcer.Skip,
				Found: "nothing on this host uses it"})
			continue
		}
		found := h.look(ctx, h.single())
		if h.subject.Extra != nil {
			found = append(found, h.subject.Extra(ctx)...)
		}
		if h.Live && h.subject.blocks() {
			found = append(found, enforcement{h}.live(ctx)...)
		}
		for _, f := range found {
			if !strings.HasPrefix(f.What, "cron: ") {
				f.What = name + f.What
			}
			rows = append(rows, f)
		}
	}
	return rows
}

// inUse reports whether a daemon may call the response, or somebody used it.
func (h *host) inUse() bool {
	if s := h.subject; s.Hold != nil {
		if _, err := os.Lstat(s.Hold.Leases.Path()); err == nil {
			return true
		}
	}
	return h.calledByDaemon()
}

// calledByDaemon reports whether ossec.conf, or ar.conf on an agent, has the response called.
func (h *host) calledByDaemon() bool {
	if slices.ContainsFunc(h.ownCommands(),
		func(c *block) bool { return len(h.conf.users(c.text("name"))) > 0 }) {
		return true
	}
	list, _ := ossec.ReadResponseList(h.Home.ResponseList()) // responseList reports what is wrong with it
	return slices.ContainsFunc(list, func(r ossec.ListedResponse) bool { return h.own(r.Executable) })
}

func (h *host) look(ctx context.Context, topics []topic) []Finding {
	var rows []Finding
	for _, t := range topics {
		found := h.excuse(t.on)
		if found == nil {
			found = t.look(ctx)
		}
		for _, f := range found {
			if f.What == "" {
				f.What = t.what
			}
			rows = append(rows, f)
		}
	}
	return rows
}

// excuse returns why a topic is skipped, nil when it is not.
func (h *host) excuse(on scope) []Finding {
	switch {
	case (on == called || on == calledOnServers) && h.subject.FromCron:
		return []Finding{} // no row at all: the question makes no sense
	case (on == called || on == calledOnServers) && h.byHand:
		return []Finding{skip("no daemon calls it: people use it by hand")}
	case on == blocking && !h.subject.blocks():
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

// findings are rows of one topic.
type findings []Finding

func (f *findings) warn(mend, format string, args ...any) {
	*f = append(*f, warn(mend, format, args...))
}

func (f *findings) fault(mend, format string, args ...any) {
	*f = append(*f, fault(mend, format, args...))
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
