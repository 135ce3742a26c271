// Package check answers "why is it not blocking?": it looks at all that the responses rest
// on, from ossec.conf to the kernel, and says of each thing whether it is as it should
// be and, where not, which command or edit mends it. It changes nothing; only a live
// check blocks an address, one that is nobody's, and frees it again.
package check

import (
	"cmp"
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
	// Jobs are what cron has to run of it.
	Jobs []Job
	// Logs are what it writes beside the log of all responses.
	Logs []string
	// Extra looks at what only this program has.
	Extra func(context.Context) []Finding
	// Set says that Extra has something to look at even where no daemon calls it.
	Set bool
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
func Run(ctx context.Context, p app.Program, o Options, subjects ...*Subject) int {
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

// topic is one thing to look at.
type topic struct {
	what       string
	serverOnly bool // agents do not have what is looked at
	look       func(context.Context, *sheet)
}

// shared are the topics that all subjects have in common.
func (h *host) shared() []topic {
	conf, blocks, log := configuration{h}, responses{h}, logs{h}
	if !h.Home.Installed() {
		return []topic{
			{"rights", false, h.rights},
			{"OSSEC or Wazuh", false, h.absent},
			{"active-response.toml", false, conf.settingsFile},
			{"whitelist", false, whiteList{h}.entries},
			{"own addresses", false, whiteList{h}.ownAddresses},
			{"log", false, log.writable},
			{"logrotate", false, log.rotation},
			{"clock", false, log.clock},
		}
	}
	return []topic{
		{"rights", false, h.rights},
		{"ossec.conf", false, conf.confFile},
		{"active-response.toml", false, conf.settingsFile},
		{"active response", false, blocks.disabled},
		{"rules", true, conf.ruleSections},
		{"blocks", true, blocks.responseBlocks},
		{"order", true, blocks.order},
		{"level", true, blocks.levels},
		{"rules_id", true, blocks.ruleLists},
		{"timeout", true, blocks.timeouts},
		{"repeated_offenders", false, blocks.repeats},
		{"daemons' own test", false, daemons{h}.test},
		{"daemons", false, daemons{h}.running},
		{"white_list", false, whiteList{h}.entries},
		{"own addresses", false, whiteList{h}.ownAddresses},
		{"log", false, log.writable},
		{"localfile", false, log.localFiles},
		{"logrotate", false, log.rotation},
		{"reports", false, log.counted},
		{"clock", false, log.clock},
	}
}

// single are the topics of the subject.
func (h *host) single(byHand bool) []topic {
	commands, list := responses{h}.commands, daemons{h}.responseList
	if byHand {
		commands = func(_ context.Context, s *sheet) { s.skip("no daemon calls it") }
		list = commands
	}
	topics := []topic{
		{"commands", true, commands},
		{"executable", false, executables{h}.all},
		{"ar.conf", false, list},
	}
	if !h.Home.Installed() {
		topics = topics[1:2]
	}
	if h.subject.FromCron {
		return []topic{{"executable", false, executables{h}.fromCron}, {"cron", false, schedule{h}.jobs}}
	}
	if h.subject.blocks() {
		topics = append(topics, topic{"enforcer", false, enforcement{h}.inspect},
			topic{"leases", false, enforcement{h}.leases})
	}
	if h.subject.Extra != nil {
		topics = append(topics, topic{"settings", false, func(ctx context.Context, s *sheet) {
			s.add(h.subject.Extra(ctx)...)
		}})
	}
	if h.Live && h.subject.blocks() {
		topics = append(topics, topic{"live", false, enforcement{h}.live})
	}
	return topics
}

func (h *host) findings(ctx context.Context) []Finding {
	s := &sheet{}
	h.running = h.Home.Processes(h.Proc)
	h.look(ctx, s, h.shared())
	byDaemons := slices.DeleteFunc(slices.Clone(h.subjects), func(s *Subject) bool { return s.FromCron })
	used := slices.ContainsFunc(byDaemons, h.inUse)
	if len(byDaemons) > 1 && !slices.ContainsFunc(byDaemons, h.calledByDaemon) {
		responses{h}.noneCalled(s)
	}
	for _, subject := range h.subjects {
		h.subject = subject
		s.prefix = subject.Name + " "
		switch {
		case subject.FromCron:
		case len(byDaemons) == 1:
			s.prefix = ""
		case !h.inUse(subject) && (used || subject != byDaemons[0]): // of none that is used the first stands for all
			s.prefix = ""
			s.begin(subject.Name)
			s.skip("nothing on this host uses it")
			if s.prefix = subject.Name + " "; subject.Set {
				s.add(subject.Extra(ctx)...)
			}
			continue
		}
		h.look(ctx, s, h.single(len(byDaemons) > 1 && !h.conf.unread && !h.calledByDaemon(subject)))
	}
	return s.rows
}

// inUse reports whether a daemon may call the response, or somebody used it.
func (h *host) inUse(s *Subject) bool {
	if s.Hold != nil {
		if _, err := os.Lstat(s.Hold.Leases.Path()); err == nil {
			return true
		}
	}
	return h.calledByDaemon(s)
}

// calledByDaemon reports whether ossec.conf, or ar.conf on an agent, has the response called. Wazuh 5
// says that in its requests alone: the response that has its name for blocking is called there.
func (h *host) calledByDaemon(s *Subject) bool {
	h.subject = s
	if h.Home.Wazuh5() {
		return h.own("block-ip")
	}
	if slices.ContainsFunc(h.ownCommands(),
		func(c *block) bool { return len(h.conf.users(c.text("name"))) > 0 }) {
		return true
	}
	list, _ := ossec.ReadResponseList(h.Home.ResponseList()) // responseList reports what is wrong with it
	return slices.ContainsFunc(list, func(r ossec.ListedResponse) bool { return h.own(r.Executable) })
}

func (h *host) look(ctx context.Context, s *sheet, topics []topic) {
	for _, t := range topics {
		s.begin(t.what)
		switch {
		case t.serverOnly && h.conf.agent():
			s.skip("only a server has it, this is an agent")
		case t.serverOnly && h.conf.unread:
			s.skip("ossec.conf could not be read")
		default:
			t.look(ctx, s)
		}
	}
}

// sheet gathers rows, one topic after the other.
type sheet struct {
	prefix string // of the topics, when there are several subjects
	topic  string
	first  int // row of the topic
	rows   []Finding
}

func (s *sheet) begin(topic string) { s.topic, s.first = topic, len(s.rows) }

// add adds rows, of the topic unless they say of what.
func (s *sheet) add(found ...Finding) {
	for _, f := range found {
		f.What = s.prefix + cmp.Or(f.What, s.topic)
		s.rows = append(s.rows, f)
	}
}

// ok says that all is well with the topic, unless it has a row already.
func (s *sheet) ok(format string, args ...any) {
	if len(s.rows) == s.first {
		s.add(ok(format, args...))
	}
}

func (s *sheet) skip(format string, args ...any) {
	s.add(Finding{Verdict: enforcer.Skip, Found: fmt.Sprintf(format, args...)})
}

func (s *sheet) warn(mend, format string, args ...any) { s.add(warn(mend, format, args...)) }

func (s *sheet) fault(mend, format string, args ...any) { s.add(fault(mend, format, args...)) }

func ok(format string, args ...any) Finding {
	return Finding{Verdict: enforcer.OK, Found: fmt.Sprintf(format, args...)}
}

func warn(mend, format string, args ...any) Finding {
	return Finding{Verdict: enforcer.Warn, Found: fmt.Sprintf(format, args...), Mend: mend}
}

func fault(mend, format string, args ...any) Finding {
	return Finding{Verdict: enforcer.Fault, Found: fmt.Sprintf(format, args...), Mend: mend}
}

// some joins a few of many, and says how many more there are.
func some(texts []string) string {
	const most = 5
	if len(texts) <= most {
		return strings.Join(texts, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), len(texts)-most)
}
