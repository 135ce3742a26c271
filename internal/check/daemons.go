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
func (h daemons) running(_ context.Context, s *sheet) {
	execd := h.processes().execd()
	if execd == nil {
		s.fault(h.control("start"), "neither ossec-execd nor wazuh-execd runs: nothing is ever called")
		return
	}
	other := "analysisd"
	if h.conf.agent() {
		other = "agentd"
	}
	if !h.processes().daemon("ossec-"+other, "wazuh-"+other) {
		s.fault(h.control("restart"), "neither ossec-%s nor wazuh-%s runs: no alert leads to a call", other,
			other)
	}
	if execd.started.IsZero() {
		s.ok("%s runs", execd.Name)
	}
	s.ok("%s runs since %s", execd.Name, stamp(execd.started))
}

// responseList checks whether execd knows this response.
func (h daemons) responseList(_ context.Context, s *sheet) {
	path := h.Home.ResponseList()
	mend := h.control("restart") + " (ossec-analysisd then writes it from ossec.conf)"
	if h.conf.agent() {
		mend = "see `check` on the server: it sends this file to its agents"
	}
	list, err := ossec.ReadResponseList(path)
	if errors.Is(err, os.ErrNotExist) {
		s.fault(mend, "%s is not there: execd knows no response", path)
		return
	}
	if err != nil {
		s.fault(mend, "%v", err)
	}
	var names []string
	for _, r := range list {
		if h.own(r.Executable) {
			names = append(names, quote(r.Name))
		}
	}
	switch {
	case len(names) == 0:
		s.fault(mend, "%s has no line for %s: execd cannot be asked to run it", path, h.subject.Name)
	case !h.conf.agent():
		h.unlisted(s, list, mend)
	}
	s.ok("lists %s", some(names))
}

// unlisted looks for responses in ossec.conf that the list does not have as they stand.
func (h daemons) unlisted(s *sheet, list []ossec.ListedResponse, mend string) {
	for _, c := range h.ownCommands() {
		executable := c.text("executable")
		for _, b := range h.conf.users(c.text("name")) {
			seconds, whole := leadingNumber(b.text("timeout"))
			if !whole && b.text("timeout") != "" {
				continue // timeouts reports that
			}
			if !c.yes("timeout_allowed") {
				seconds = 0
			}
			timeout := time.Duration(seconds) * time.Second
			listed := func(r ossec.ListedResponse) bool { return r.Executable == executable && r.Timeout == timeout }
			if !slices.ContainsFunc(list, listed) {
				s.fault(mend, "%s does not have %s with a timeout of %d s, as %s wants it: "+
					"ossec.conf was changed since", h.Home.ResponseList(), quote(executable), seconds, h.conf.at(b.line))
			}
		}
	}
}
