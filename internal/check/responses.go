package check

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// responses looks at the <active-response> and <command> blocks of ossec.conf.
type responses struct{ *host }

// What OSSEC makes of <active-response> and <command> was tried with OSSEC 4.3's
// ossec-analysisd and ossec-execd.

// firstOfRoots returns the <active-response> of each root that execd reads for itself.
func (c *conf) firstOfRoots() []*block {
	var first []*block
	for _, b := range c.all("active-response") {
		if !slices.ContainsFunc(first, func(f *block) bool { return f.root == b.root }) {
			first = append(first, b)
		}
	}
	return first
}

// settings yields the elements of one name in all <active-response> blocks.
func (c *conf) settings(name string) iter.Seq2[*block, field] {
	return func(yield func(*block, field) bool) {
		for _, b := range c.all("active-response") {
			if f, set := b.get(name); set && !yield(b, f) {
				return
			}
		}
	}
}

// disabled looks for what switches active response off, or does not though it seems to.
func (h responses) disabled(_ context.Context, s *sheet) {
	if h.conf.unread {
		s.skip("ossec.conf could not be read")
		return
	}
	first := h.conf.firstOfRoots()
	off := slices.ContainsFunc(first, func(b *block) bool { return b.yes("disabled") })
	for b, f := range h.conf.settings("disabled") {
		at, word := h.conf.at(f.line), strings.ToLower(f.text)
		mend := "write <disabled>no</disabled> in " + at + ", then " + h.control("restart")
		switch isFirst := slices.Contains(first, b); {
		case word != "yes" && word != "no":
			s.fault(mend, "%s: <disabled> says %s, which is neither yes nor no", at, quote(f.text))
		case isFirst && word == "yes":
			s.fault(mend, "%s: active response is disabled on this host", at)
		case !isFirst && (word == "yes" || off): // a "no" that is the case anyway misleads nobody
			s.warn("move <disabled> to the first <active-response> of that <ossec_config>",
				"%s: <disabled>%s</disabled> has no effect there: execd reads it from the first "+
					"<active-response> only", at, word)
		}
	}
	s.ok("not disabled in %s", h.conf.path)
}

// responseBlocks looks for <active-response> blocks that OSSEC refuses as they stand.
func (h responses) responseBlocks(_ context.Context, s *sheet) {
	all := h.conf.all("active-response")
	for _, b := range all {
		at := h.conf.at(b.line)
		location := strings.ToLower(b.text("location"))
		switch {
		case b.text("command") == "" && b.yes("disabled"):
			// disabled reports it
		case b.text("command") == "" && len(b.fields) == 1 && b.fields[0].name == "disabled":
			s.fault("take the block out of "+at+": active response is on unless <disabled> says yes",
				"%s: a lone <disabled>no</disabled> is refused on a server, which then does not start", at)
		case b.text("command") == "":
			s.fault("add <command>NAME</command> at "+at,
				"%s: <active-response> without <command> is refused", at)
		case location == "":
			s.fault("add <location>local</location> at "+at,
				"%s: <active-response> without <location> is refused", at)
		case !slices.ContainsFunc([]string{"local", "server", "defined-agent", "all", "any", "analysisd",
			"as"}, func(l string) bool { return strings.Contains(location, l) }):
			s.fault("write local, server, defined-agent or all",
				"%s: <location> says %s", at, quote(location))
		case location == "defined-agent" && b.text("agent_id") == "":
			s.fault("add <agent_id>001</agent_id> at "+at,
				"%s: <location>defined-agent</location> without <agent_id> is refused", at)
		case h.freesOnAlert(b):
			s.warn("write <level>20</level> alone at "+at+": then only you call it",
				"%s: an alert calls %s, so an attacker who raises it frees himself", at, quote(b.text("command")))
		}
	}
	if len(all) == 0 {
		s.fault(h.tool("configure"),
			"%s has no <active-response>: nothing is ever called", h.conf.path)
	}
	s.ok("%s with all that OSSEC wants", count(len(all), "<active-response> block"))
}

// highest is the level above which no rule is.
const highest = 16

// freesOnAlert reports whether a block has unban or allow called by an alert, not by a person alone.
func (h responses) freesOnAlert(b *block) bool {
	c := h.conf.command(b.text("command"))
	if c == nil || !slices.Contains([]string{"unban", "allow"}, strings.TrimSuffix(c.text("executable"), ".sh")) {
		return false
	}
	level, _ := leadingNumber(b.text("level"))
	return level <= highest || b.text("rules_id")+b.text("rules_group") != ""
}

// snippet is an <active-response> that would run a command on an attack by ssh.
func (h responses) snippet(command string) string {
	rule := "5712"
	if h.Home.Wazuh() {
		rule = "5763" // 5712 is for users that there are not
	}
	return fmt.Sprintf("<active-response><command>%s</command><location>local</location>"+
		"<rules_id>%s</rules_id></active-response>", command, rule)
}

// order looks for an <active-response> whose <command> is missing or stands behind it.
func (h responses) order(_ context.Context, s *sheet) {
	for _, b := range h.conf.all("active-response") {
		name := b.text("command")
		c := h.conf.command(name) // the first of that name
		switch {
		case name == "":
		case c == nil:
			s.fault(fmt.Sprintf("add a <command> with <name>%s</name> above line %d, or correct the name",
				name, b.line), "%s: there is no <command> %s", h.conf.at(b.line), quote(name))
		case c.place > b.place:
			s.fault(fmt.Sprintf("move the <command> at line %d above line %d of %s", c.line, b.line,
				h.conf.path), "%s: the <command> %s stands behind its <active-response>: OSSEC refuses that",
				h.conf.at(b.line), quote(name))
		}
	}
	s.ok("every <command> stands before the <active-response> that uses it")
}

// maxLevel is the highest level that OSSEC takes.
const maxLevel = 20

// levels looks for levels that OSSEC refuses, or that mean more than they seem to.
func (h responses) levels(_ context.Context, s *sheet) {
	for b, f := range h.conf.settings("level") {
		at := h.conf.at(f.line)
		lowest, whole := leadingNumber(f.text)
		if !whole || lowest > maxLevel {
			mend := "write one number, the lowest level: <level>8</level>"
			if f.text != "" && digits(f.text[:1]) && lowest <= maxLevel {
				mend = fmt.Sprintf("write one number, the lowest level: <level>%d</level>; "+
					"for an upper bound name the rules in <rules_id> instead", lowest)
			}
			s.fault(mend, "%s: <level> says %s: OSSEC takes one number from 0 to %d, and refuses this",
				at, quote(f.text), maxLevel)
			continue
		}
		for _, other := range []string{"rules_id", "rules_group"} {
			if b.text(other) != "" {
				s.warn("take one of the two out of the block at "+at+", if both were meant to hold at once",
					"%s: <level>%d</level> or <%s>: either is enough for this response to run", at, lowest,
					other)
			}
		}
	}
	s.ok("no level that OSSEC refuses")
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// ruleLists looks for lists of rules that OSSEC refuses or reads the head of only.
func (h responses) ruleLists(_ context.Context, s *sheet) {
	for _, f := range h.conf.settings("rules_id") {
		at := h.conf.at(f.line)
		if end := strings.IndexAny(f.raw, "\t\r\n"); end >= 0 && strings.TrimSpace(f.raw[end:]) != "" {
			words := strings.FieldsFunc(f.raw, func(r rune) bool { return r == ',' || r <= ' ' })
			s.fault("write the list on one line with blanks at most: <rules_id>"+strings.Join(words,
				",")+"</rules_id>",
				"%s: <rules_id> has a tab or a line break in it, which ends the list: %s is not read", at,
				quote(strings.TrimSpace(f.raw[end:])))
			continue
		}
		for word := range strings.SplitSeq(f.text, ",") {
			if word = strings.TrimSpace(word); !digits(word) {
				s.fault("name the rules by their numbers, with commas between them",
					"%s: <rules_id> has %s in it, which is no rule's number", at, quote(word))
			}
		}
	}
	s.ok("every list of rules is read to its end")
}

// timeouts looks for timeouts that OSSEC refuses or misreads.
func (h responses) timeouts(_ context.Context, s *sheet) {
	for b, f := range h.conf.settings("timeout") {
		at := h.conf.at(f.line)
		if seconds, whole := leadingNumber(f.text); !whole {
			mend := "write it in seconds: <timeout>600</timeout>"
			if d, err := time.ParseDuration(f.text); err == nil && d > 0 {
				mend = fmt.Sprintf("write it in seconds: <timeout>%d</timeout>", int(d.Seconds()))
			}
			s.fault(mend, "%s: <timeout> says %s, which OSSEC reads as %d s", at, quote(f.text), seconds)
		}
		name := b.text("command")
		if c := h.conf.command(name); c != nil && !c.yes("timeout_allowed") {
			s.fault("add <timeout_allowed>yes</timeout_allowed> at "+h.conf.at(c.line)+
				", or take <timeout> out",
				"%s: <timeout>, but the <command> %s does not allow one: OSSEC refuses that (error 1305)", at,
				quote(name))
		}
	}
	s.ok("every timeout is a number of seconds, and allowed")
}

// command returns the <command> of that name, nil when there is none.
func (c *conf) command(name string) *block {
	for _, b := range c.all("command") {
		if b.text("name") == name {
			return b
		}
	}
	return nil
}

// leadingNumber reads as C's atoi does, and reports whether the text is nothing but the number.
func leadingNumber(text string) (n int, whole bool) {
	rest := strings.TrimLeft(text, "0123456789")
	n, err := strconv.Atoi(strings.TrimSuffix(text, rest))
	return n, err == nil && rest == ""
}

// maxRepeats is how many values of <repeated_offenders> execd reads.
const maxRepeats = 5

// repeats looks for <repeated_offenders> that have no effect, or another than meant.
func (h responses) repeats(_ context.Context, s *sheet) {
	first := h.conf.firstOfRoots()
	inForce := "not set"
	for b, f := range h.conf.settings("repeated_offenders") {
		at := h.conf.at(f.line)
		if !slices.Contains(first, b) {
			s.fault("move it to the first <active-response> of that <ossec_config>, then "+
				h.control("restart"),
				"%s: <repeated_offenders> has no effect there: execd reads it from the first "+
					"<active-response> only", at)
			continue
		}
		values := strings.Split(f.text, ",")
		for i, value := range values {
			switch minutes, whole := leadingNumber(strings.TrimSpace(value)); {
			case !whole:
				s.fault("write minutes, with commas between them: "+
					"<repeated_offenders>30,60,120</repeated_offenders>",
					"%s: <repeated_offenders> has %s in it, which is no number of minutes", at,
					quote(strings.TrimSpace(value)))
			case minutes == 0 && i == 0:
				s.warn("begin with a number of minutes above 0",
					"%s: <repeated_offenders> begins with 0, which turns it off", at)
			case i == maxRepeats:
				s.warn("leave five values",
					"%s: <repeated_offenders> has %d values: execd reads the first %d", at, len(values),
					maxRepeats)
			}
		}
		inForce = "set where execd reads it: " +
			strings.Join(values[:min(len(values), maxRepeats)], ", ") + " minutes on this host"
	}
	s.ok("%s", inForce)
}

// noneCalled says, once for all responses, that daemons call none of them.
func (h responses) noneCalled(s *sheet) {
	s.begin("commands")
	switch {
	case !h.Home.Installed(), h.conf.unread:
	case h.Home.Wazuh5():
		s.fault(h.reinstall(), "%s/block-ip is not this suite's, and Wazuh 5 calls nothing else", h.Home.Programs())
	case h.conf.agent():
		s.fault(askServer, "%s names no response of this suite: none is ever called here", h.Home.ResponseList())
	case len(h.conf.all("active-response")) > 0: // else responseBlocks reports that there is none
		s.fault(h.tool("configure"), "%s has no response of this suite called", h.conf.path)
	}
}
