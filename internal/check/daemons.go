package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/rehearsal"
)

// daemons looks at the daemons that call responses, and at those that lead to a call.
type daemons struct{ *host }

// find returns the youngest daemon of this home of one name, behind "ossec-" or "wazuh-"; nil when
// none runs. The responses of the youngest execd are the ones that are called.
func (h *host) find(name string) *ossec.Process {
	const most = 15 // bytes that the kernel keeps of a name
	var found *ossec.Process
	for i, p := range h.running {
		_, kept, _ := strings.Cut(p.Name, "-")
		isIt := kept == name || len(p.Name) == most && strings.HasPrefix(name, kept)
		if name == "execd" {
			isIt = isIt && h.Home.RunsAsRoot(h.Proc, p.PID)
		}
		if isIt && (found == nil || p.Start > found.Start) {
			found = &h.running[i]
		}
	}
	return found
}

// ticks is how many clock ticks a second has in what Linux reports to programs (USER_HZ).
const ticks = 100

// startTime returns when a process started; zero when that cannot be read.
func (h *host) startTime(p *ossec.Process) time.Time {
	text, err := os.ReadFile(filepath.Join(h.Proc, "stat"))
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(text)) {
		if seconds, ok := strings.CutPrefix(line, "btime "); ok {
			boot, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
			if err == nil {
				return time.Unix(boot, 0).Add(time.Duration(p.Start) * (time.Second / ticks))
			}
		}
	}
	return time.Time{}
}

// runs reports whether a process of one of these names runs, whoever's it is.
func (h *host) runs(names ...string) bool {
	entries, _ := os.ReadDir(h.Proc) // without procfs nothing runs that could be seen
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		comm, err := os.ReadFile(filepath.Join(h.Proc, e.Name(), "comm"))
		return err == nil && slices.Contains(names, strings.TrimSpace(string(comm)))
	})
}

// running looks for those that a response is called by.
func (h daemons) running(_ context.Context, s *sheet) {
	execd := h.find("execd")
	if execd == nil {
		s.fault(h.control("start"),
			"neither ossec-execd nor wazuh-execd of this home runs: nothing is ever called")
		return
	}
	ask := "analysisd" // asks execd to call
	needed := []string{"logcollector: no log is read", "analysisd: no alert leads to a call"}
	switch {
	case h.conf.agent():
		ask = "agentd"
		needed = []string{"logcollector: no log is read", "agentd: no alert of the server leads to a call"}
	case h.conf.all("remote") != nil && h.hasAgents():
		needed = append(needed, "remoted: agents are neither heard nor told to block")
	}
	for _, text := range needed {
		name, effect, _ := strings.Cut(text, ": ")
		if h.find(name) == nil {
			s.fault(h.control("restart"), "neither ossec-%s nor wazuh-%s runs: %s", name, name, effect)
		}
	}
	if asks := h.find(ask); asks != nil && execd.Start > asks.Start && !h.Home.Wazuh() {
		s.fault(h.control("restart"), "%s was started after %s, which has lost the way to it: nothing is "+
			"ever called, and only a restart of all daemons mends that", execd.Name, asks.Name)
	}
	started := h.startTime(execd)
	if started.IsZero() {
		s.ok("%s runs", execd.Name)
	}
	s.ok("%s runs since %s", execd.Name, stamp(started))
}

// hasAgents reports whether agents are registered with this server: without any its remoted ends.
func (h daemons) hasAgents() bool {
	keys, err := os.Stat(filepath.Join(string(h.Home), "etc/client.keys"))
	return err == nil && keys.Size() > 0
}

// test lets the daemons test the configuration as it stands, on a copy.
func (h daemons) test(ctx context.Context, s *sheet) {
	if h.user != 0 {
		s.skip("only root can run it")
		return
	}
	switch err := rehearsal.Run(ctx, string(h.Home), nil); {
	case errors.Is(err, rehearsal.ErrRefused):
		s.fault("correct that: no daemon starts any more once it is stopped", "%v", err)
	case err != nil:
		s.warn("look after that: nobody knows whether the daemons would start", "%v", err)
	}
	s.ok("no daemon refuses the configuration")
}

// askServer is what mends a list of responses on an agent.
const askServer = "see `ossec-ar check` on the server, which sends this file to its agents"

// responseList checks whether execd knows this response.
func (h daemons) responseList(_ context.Context, s *sheet) {
	path := h.Home.ResponseList()
	mend := fmt.Sprintf("%s (%s then writes it from ossec.conf)", h.control("restart"), h.daemon("analysisd"))
	if h.conf.agent() {
		mend = askServer
	}
	list, err := ossec.ReadResponseList(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && h.Home.Wazuh5():
		s.ok("Wazuh 5 has none: its requests say all that it said")
		return
	case errors.Is(err, os.ErrNotExist) && h.noList:
		s.skip("there is none, as said above")
		return
	case errors.Is(err, os.ErrNotExist):
		h.noList = true
		s.fault(mend, "%s is not there: execd knows no response", path)
		return
	case err != nil:
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
			listed := func(r ossec.ListedResponse) bool {
				return r.Executable == executable && r.Timeout == timeout
			}
			if !slices.ContainsFunc(list, listed) {
				s.fault(mend, "%s does not have %s with a timeout of %d s, as %s wants it: ossec.conf was "+
					"changed since", h.Home.ResponseList(), quote(executable), seconds, h.conf.at(b.line))
			}
		}
	}
}
