package setup

import (
	"errors"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// found is what an ossec.conf holds already, of what the suite sets up.
type found struct {
	contents
	section  section // the <rules> by which OSSEC goes
	hasRules bool    // whether there is any
	ruleDirs []string
	disabled int // line of a <disabled>yes</disabled>, 0 for none
	repeatAt int // line of a <repeated_offenders>, 0 for none
	client   bool
	analysis bool // has what only a server has
}

// block is one element of an <ossec_config> with its leaves.
type block struct {
	name   string
	line   int
	leaves map[string]string
}

// blocks returns what stands in the roots of an ossec.conf, in order. What is broken in
// it is the error, and the rest counts.
func blocks(data []byte) ([]*block, error) {
	var all []*block
	byParent := map[int]*block{}
	err := ossec.WalkConf(data, func(e ossec.Element) {
		if len(e.Path) < 3 || e.Path[0] != "ossec_config" {
			return
		}
		b := byParent[e.Parent]
		if b == nil {
			b = &block{name: e.Path[1], line: e.Line, leaves: map[string]string{}}
			byParent[e.Parent] = b
			all = append(all, b)
		}
		name := strings.Join(e.Path[2:], "/")
		if old, ok := b.leaves[name]; ok {
			b.leaves[name] = old + "\n" + e.Text // white_list, include
			return
		}
		b.leaves[name] = e.Text
	})
	return all, err
}

func (b *block) values(name string) []string {
	if text, ok := b.leaves[name]; ok {
		return strings.Split(text, "\n")
	}
	return nil
}

// look reads what is there. Broken places are skipped: whether the file is good for
// OSSEC is for OSSEC to say.
func look(data []byte) found {
	var f found
	all, err := blocks(data)
	if err != nil && !errors.Is(err, ossec.ErrBrokenConf) {
		return f // it returns no other
	}
	f.section, f.hasRules = rulesIn(data)
	for _, b := range all {
		switch b.name {
		case "command":
			f.commands = append(f.commands, command{
				name: b.leaves["name"], executable: b.leaves["executable"],
				timeout:   b.leaves["timeout_allowed"] == "yes",
				noAddress: !strings.Contains(b.leaves["expect"], "srcip"), line: b.line,
			})
		case "active-response":
			f.response(b)
		case "localfile":
			f.localfile = append(f.localfile, b.values("location")...)
		case "global":
			f.whitelist = append(f.whitelist, b.values("white_list")...)
			f.whitelist = append(f.whitelist, b.values("allow_list")...)
		case "rules", "ruleset":
			f.analysis = true
			for _, name := range []string{"include", "rule", "rule_include"} {
				f.rules = append(f.rules, b.values(name)...)
			}
			f.ruleDirs = append(f.ruleDirs, b.values("rule_dir")...)
		case "client":
			f.client = true
		case "remote", "alerts":
			f.analysis = true
		}
	}
	if len(f.responses) > 0 {
		f.repeat = "" // it is that of one of them
	}
	return f
}

func (f *found) response(b *block) {
	if b.leaves["disabled"] == "yes" && f.disabled == 0 {
		f.disabled = b.line
	}
	repeat, ok := b.leaves["repeated_offenders"]
	if ok && f.repeatAt == 0 {
		f.repeatAt, f.repeat = b.line, repeat
	}
	r := response{command: command{name: b.leaves["command"]}, location: b.leaves["location"],
		timeout: b.leaves["timeout"], repeat: repeat, line: b.line}
	if r.command.name == "" || b.leaves["disabled"] == "yes" {
		return
	}
	r.level, _ = strconv.Atoi(b.leaves["level"]) // what is no number is no level
	for id := range strings.SplitSeq(b.leaves["rules_id"], ",") {
		if id = strings.TrimSpace(id); id != "" {
			r.rules = append(r.rules, id)
		}
	}
	f.responses = append(f.responses, r)
}

// agent reports whether it is the configuration of an agent, which neither makes alerts
// nor says which responses run.
func (f found) agent() bool { return f.client && !f.analysis }

// sameProgram reports whether two executables are one of the suite's programs: with and
// without ".sh" they are, but the second name of firewall-drop has blocks of its own.
func sameProgram(a, b string) bool {
	return strings.TrimSuffix(a, ".sh") == strings.TrimSuffix(b, ".sh")
}

// use returns a command that is there already and can stand for the one that is wanted.
func (f found) use(want command, d Dialect) (command, bool) {
	for _, c := range f.commands {
		if sameProgram(c.executable, want.executable) && (c.timeout || !want.timeout) &&
			(!c.noAddress || d == Wazuh) {
			return c, true
		}
	}
	return command{}, false
}

// executable returns what a command of that name runs, "" when there is none.
func (f found) executable(name string) string {
	for _, c := range f.commands {
		if c.name == name {
			return c.executable
		}
	}
	return ""
}

// freeName returns a name for a command that no other has.
func (f found) freeName(name string) string {
	free := name
	for n := 2; f.executable(free) != ""; n++ {
		free = name + "-ar"
		if n > 2 {
			free += strconv.Itoa(n)
		}
	}
	return free
}

// follows reports whether logcollector follows a log already, by its name or by a
// pattern.
func (f found) follows(home, log string) bool {
	return slices.ContainsFunc(f.localfile, func(location string) bool {
		if !filepath.IsAbs(location) {
			location = filepath.Join(home, location)
		}
		matched, err := path.Match(location, log)
		return filepath.Clean(location) == log || err == nil && matched
	})
}

// lists reports whether a whitelist entry is there, in any way of writing it.
func (f found) lists(entry string) bool {
	return slices.ContainsFunc(f.whitelist, func(there string) bool {
		canonical, err := canonicalEntry(there)
		return err == nil && canonical == entry
	})
}

// canonicalEntry checks a whitelist entry, and writes it as OSSEC reads it: anything but
// an address or a network it would take for a host name, and never apply.
func canonicalEntry(entry string) (string, error) {
	if addr, err := netip.ParseAddr(entry); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		return "", errors.New("neither an address nor a network such as 192.168.1.0/24")
	}
	if prefix.Addr().Is4In6() {
		return "", errors.New("an IPv4 network in IPv6's clothes: write it as IPv4")
	}
	if prefix.Bits() == 0 {
		return "", errors.New("it covers everything, and nothing would ever be blocked")
	}
	if prefix = prefix.Masked(); prefix.IsSingleIP() {
		return prefix.Addr().String(), nil
	}
	return prefix.String(), nil
}

// isThere reports whether a file exists.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
