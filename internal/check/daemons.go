package check

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// processes are those in procfs, of which some are daemons of the home.
type processes struct {
	proc string
	home ossec.Home
}

// running is an execd that runs.
type running struct {
	lease.Daemon
	started time.Time // zero when it is not known
}

// execd returns the youngest execd, nil when none runs. Its responses are the ones that
// are called.
func (p processes) execd() *running {
	var found *running
	for _, pid := range p.pids() {
		d := lease.FindDaemon(p.proc, pid)
		if d != nil && !p.home.Elsewhere(p.proc, pid) && (found == nil || d.Start > found.Start) {
			found = &running{Daemon: *d}
		}
	}
	if found != nil {
		found.started = p.startTime(found.Start)
	}
	return found
}

// ticks is how many clock ticks a second has in what Linux reports to programs (USER_HZ).
const ticks = 100

func (p processes) startTime(start uint64) time.Time {
	text, err := os.ReadFile(filepath.Join(p.proc, "stat"))
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(text)) {
		if seconds, ok := strings.CutPrefix(line, "btime "); ok {
			boot, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
			if err == nil {
				return time.Unix(boot, 0).Add(time.Duration(start) * (time.Second / ticks))
			}
		}
	}
	return time.Time{}
}

func (p processes) pids() []int {
	entries, _ := os.ReadDir(p.proc) // without procfs nothing runs that could be seen
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// runs reports whether a process of one of these names runs.
func (p processes) runs(names ...string) bool {
	return slices.ContainsFunc(p.pids(), func(pid int) bool { return p.named(pid, names) })
}

// daemon reports whether a process of one of these names runs that is of the home.
func (p processes) daemon(names ...string) bool {
	return slices.ContainsFunc(p.pids(), func(pid int) bool {
		return p.named(pid, names) && !p.home.Elsewhere(p.proc, pid)
	})
}

// named reports whether a process has one of these names. The kernel cuts them to 15 bytes.
func (p processes) named(pid int, names []string) bool {
	const most = 15
	comm, err := os.ReadFile(filepath.Join(p.proc, strconv.Itoa(pid), "comm"))
	return err == nil && slices.ContainsFunc(names, func(name string) bool {
		return name[:min(len(name), most)] == string(bytes.TrimSpace(comm))
	})
}

// daemons looks at the daemons that call responses.
type daemons struct{ *host }

// running looks for those that a response is called by.
func (h daemons) running(context.Context) []Finding {
	execd := h.processes().execd()
	if execd == nil {
		return []Finding{fault(h.control("start"),
			"neither ossec-execd nor wazuh-execd runs: nothing is ever called")}
	}
	others := []string{"analysisd"}
	if h.conf.agent() {
		others = []string{"agentd"}
	}
	var found findings
	for _, name := range others {
		if !h.processes().daemon("ossec-"+name, "wazuh-"+name) {
			found.fault(h.control("restart"),
				"neither ossec-%s nor wazuh-%s runs: no alert leads to a call", name, name)
		}
	}
	if len(found) > 0 {
		return found
	}
	if execd.started.IsZero() {
		return []Finding{ok("%s runs", execd.Name)}
	}
	return []Finding{ok("%s runs since %s", execd.Name, stamp(execd.started))}
}

// responseList checks whether execd knows this response.
func (h daemons) responseList(context.Context) []Finding {
	path := h.Home.ResponseList()
	mend := h.control("restart") + " (ossec-analysisd then writes it from ossec.conf)"
	if h.conf.agent() {
		mend = "see `check` on the server: it sends this file to its agents"
	}
	list, err := ossec.ReadResponseList(path)
	if errors.Is(err, os.ErrNotExist) {
		return []Finding{fault(mend, "%s is not there: execd knows no response", path)}
	}
	var found findings
	if err != nil {
		found.fault(mend, "%v", err)
	}
	var names []string
	for _, r := range list {
		if h.own(r.Executable) {
			names = append(names, quote(r.Name))
		}
	}
	if len(names) == 0 {
		return append(found, fault(mend,
			"%s has no line for %s: execd cannot be asked to run it", path, h.subject.Name))
	}
	if !h.conf.agent() {
		found = append(found, h.unlisted(list, mend)...)
	}
	return orOK(found, "lists %s", some(names))
}

// unlisted looks for responses in ossec.conf that the list does not have as they stand.
func (h daemons) unlisted(list []ossec.ListedResponse, mend string) []Finding {
	var found []Finding
	for _, c := range h.ownCommands() {
		executable := c.text("executable")
		for _, b := range h.conf.users(c.text("name")) {
			if text := b.text("timeout"); text != "" && !digits(text) {
				continue // timeouts reports that
			}
			timeout := time.Duration(leadingNumber(b.text("timeout"))) * time.Second
			if !c.yes("timeout_allowed") {
				timeout = 0
			}
			if slices.ContainsFunc(list,
				func(r ossec.ListedResponse) bool { return r.Executable == executable && r.Timeout == timeout }) {
				continue
			}
			found = append(found, Finding{Verdict: enforcer.Fault, Mend: mend,
				Found: h.Home.ResponseList() + " does not have " + quote(executable) + " with a timeout of " +
					strconv.Itoa(int(timeout.Seconds())) + " s, as " + h.conf.at(b.line) +
					" wants it: ossec.conf was changed since"})
		}
	}
	return found
}
