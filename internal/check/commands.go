package check

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// own reports whether an executable is this response, by its name or because it leads to
// the same file: "custom-firewall-drop.sh" is firewall-drop.
func (h *host) own(executable string) bool {
	if onWindows(executable) {
		return false
	}
	if strings.Contains(executable, h.subject.Name) {
		return true
	}
	return sameFile(filepath.Join(h.Home.Programs(), h.subject.Name),
		filepath.Join(h.Home.Programs(), filepath.Base(executable)))
}

// onWindows reports whether an executable is one of agents on Windows. Every stock manager
// defines such commands.
func onWindows(executable string) bool {
	return slices.Contains([]string{".exe", ".cmd"}, filepath.Ext(executable))
}

// ownCommands returns the <command> blocks that run this response.
func (h *host) ownCommands() []*block {
	return slices.DeleteFunc(h.conf.all("command"),
		func(c *block) bool { return !h.own(c.text("executable")) })
}

// users returns the <active-response> blocks that use a command.
func (c *conf) users(name string) []*block {
	return slices.DeleteFunc(c.all("active-response"),
		func(b *block) bool { return b.text("command") != name })
}

// expects is what OSSEC has to be asked for, to name a target.
func (h *host) expects() string {
	if h.subject.Hold != nil && h.subject.Hold.Kind.Accounts {
		return "user"
	}
	return "srcip"
}

// commands looks for commands of this response that are never used, or called without
// an address.
func (h responses) commands(_ context.Context, s *sheet) {
	own := h.ownCommands()
	if len(own) == 0 {
		name := h.subject.Name
		executable, expect := name+".sh", "<expect>"+h.expects()+"</expect>"
		if h.Home.Wazuh() {
			executable, expect = name, ""
		}
		s.fault(fmt.Sprintf("add to %s: <command><name>%s</name><executable>%s</executable>%s"+
			"<timeout_allowed>yes</timeout_allowed></command> %s", h.conf.path, name, executable, expect,
			h.snippet(name)), "%s has no <command> that runs %s", h.conf.path, name)
		return
	}
	used := slices.ContainsFunc(own, func(c *block) bool { return len(h.conf.users(c.text("name"))) > 0 })
	var names []string
	for _, c := range own {
		name, at := c.text("name"), h.conf.at(c.line)
		names = append(names, quote(name))
		if len(h.conf.users(name)) == 0 {
			unused := warn(fmt.Sprintf("add to %s, behind its <command>: %s", h.conf.path, h.snippet(name)),
				"%s: no <active-response> uses the <command> %s: it is never run", at, quote(name))
			if !used {
				unused.Verdict = enforcer.Fault
			}
			s.add(unused)
		}
		if expects := h.expects(); !h.Home.Wazuh() && !strings.Contains(c.text("expect"), expects) {
			s.fault("write <expect>"+expects+"</expect> at "+at,
				"%s: the <command> %s does not expect %s: it is called without one", at, quote(name), expects)
		}
	}
	s.ok("%s is run by the <command> %s", h.subject.Name, some(names))
}
