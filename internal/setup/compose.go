package setup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// request is what to set up, in an ossec.conf that holds these things already.
type request struct {
	home      string
	dialect   Dialect
	profiles  []profile
	whitelist []string // canonical
	rules     string   // name of the rules file to include, "" for none
	wazuh5    bool
}

// composer builds the contents of the suite's own block: what is wanted, less what is
// there already under whatever name.
type composer struct {
	request
	before found // what stands before the block: commands of it can be used
	all    found
	out    contents
	notes  []string
}

func (r request) compose(before, all found) (contents, []string) {
	c := &composer{request: r, before: before, all: all}
	for _, entry := range r.whitelist {
		if c.all.lists(entry) {
			c.note("white_list %s is there already", entry)
			continue
		}
		c.out.whitelist = append(c.out.whitelist, entry)
	}
	for _, log := range logs(r.home) {
		if c.all.follows(r.home, log) {
			c.note("localfile %s is there already", log)
			continue
		}
		c.out.localfile = append(c.out.localfile, log)
	}
	if r.rules != "" && !slices.Contains(c.all.contents.rules, r.rules) {
		c.out.rules, c.out.joined = []string{r.rules}, c.all.hasRules
	}
	if c.all.section.earlier > 0 && r.dialect == OSSEC {
		c.note("warning: line %d: OSSEC forgets what this <rules> includes, for there is another at line %d: "+
			"make them one", c.all.section.earlier, c.all.section.Line)
	}
	if all.agent() {
		c.agent()
		return c.out, c.notes
	}
	for _, p := range r.profiles {
		for _, cmd := range p.commands {
			c.command(cmd)
		}
		for _, resp := range p.responses {
			c.response(resp)
		}
	}
	if c.all.disabled > 0 {
		c.note("warning: line %d: <disabled>yes</disabled> switches all active responses off", c.all.disabled)
	}
	return c.out, c.notes
}

// apply returns the document with the contents in their places. It is an error if OSSEC would not see them.
func (r request) apply(d document, c contents) ([]byte, error) {
	block, include := "", ""
	if !c.empty() {
		block = marked(nameList(r.profiles), c, r.dialect)
	}
	if c.joined {
		include = r.rules
	}
	next, err := setInclude(d.with(block), include)
	if err == nil && block != "" {
		err = readable(next, c)
	}
	return next, err
}

// note adds a word about something, once.
func (c *composer) note(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(c.notes, note) {
		c.notes = append(c.notes, note)
	}
}

// agent sets up what an agent's own ossec.conf decides.
func (c *composer) agent() {
	c.note("this is an agent: which responses it runs is said on its manager")
	for _, p := range c.profiles {
		for _, r := range p.responses {
			if r.repeat != "" && c.noRepeat() {
				c.out.repeat = r.repeat
			}
			if c.wazuh5 && r.command == firewallDrop {
				c.note("for %s, define an active response there: executable block-ip, type stateful, timeout %s",
					p.name, r.timeout)
			}
			if r.command == emailAlert {
				c.note("mail is not set up on an agent, which has no <global>: let email-notification run on the " +
					"manager (<location>server</location>), or name a server in [mail] of active-response.toml here")
			}
		}
	}
}

func (c *composer) noRepeat() bool {
	if c.all.repeatAt > 0 {
		c.note("repeated_offenders is there already (line %d)", c.all.repeatAt)
	}
	return c.all.repeatAt == 0
}

// command returns the command to use for one that is wanted, and defines it if none is
// there.
func (c *composer) command(want command) command {
	if there, ok := c.before.use(want, c.dialect); ok {
		c.note("command %s is there already (line %d)", there.name, there.line)
		want.name = there.name
		return want
	}
	want.name = c.all.freeName(want.name)
	if !slices.Contains(c.out.commands, want) {
		c.out.commands = append(c.out.commands, want)
	}
	return want
}

// response adds a response, less the rules for which the same program runs already.
func (c *composer) response(want response) {
	name := want.command.executable
	for _, there := range c.all.responses {
		if there.location != "local" || !sameProgram(c.all.executable(there.command.name), name) {
			continue
		}
		if want.level == 0 {
			want.rules = c.without(want.rules, there.rules,
				fmt.Sprintf("%s for rule %%s is there already (line %d)", name, there.line))
		}
		switch {
		case there.level == 0 || want.level == 0 && len(want.rules) == 0:
		case there.level == want.level:
			c.note("%s from level %d on is there already (line %d)", name, want.level, there.line)
			return
		case want.level == 0 || there.level < want.level:
			c.note("warning: line %d: %s already runs from level %d on, for %s s: where that fits too, the time of "+
				"whichever the daemon runs first counts. Remove that <active-response> if the new one is to decide",
				there.line, name, there.level, cmp.Or(there.timeout, "0"))
		}
	}
	for _, ours := range c.out.responses {
		if want.level == 0 && sameProgram(ours.command.executable, name) {
			want.rules = c.without(want.rules, ours.rules, "")
		}
	}
	if want.level == 0 && len(want.rules) == 0 {
		return
	}
	if want.repeat != "" && !c.noRepeat() {
		want.repeat = ""
	}
	want.command = c.command(want.command)
	for i := range c.out.responses {
		if ours := &c.out.responses[i]; ours.joins(want) {
			ours.rules, ours.level = append(ours.rules, want.rules...), max(ours.level, want.level)
			return
		}
	}
	want.rules = slices.Clone(want.rules)
	c.out.responses = append(c.out.responses, want)
}

// joins reports whether two responses can be one: what fits both runs once then.
func (r response) joins(other response) bool {
	return r.command == other.command && r.timeout == other.timeout && r.repeat == other.repeat &&
		(r.level == 0 || other.level == 0)
}

// without takes rules away, with a note about each where a format for it is given.
func (c *composer) without(rules, gone []string, format string) []string {
	var rest []string
	for _, id := range rules {
		switch {
		case !slices.Contains(gone, id):
			rest = append(rest, id)
		case format != "":
			c.note(format, id)
		}
	}
	return rest
}

// summary describes what the contents add.
func (c contents) summary() []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, entry := range c.whitelist {
		add("white_list %s", entry)
	}
	for _, file := range c.rules {
		add("rules %s", file)
	}
	for _, path := range c.localfile {
		add("localfile %s", path)
	}
	for _, cmd := range c.commands {
		add("command %s (%s)", cmd.name, cmd.executable)
	}
	if c.repeat != "" {
		add("repeated_offenders %s", c.repeat)
	}
	for _, r := range c.responses {
		var when []string
		if r.level > 0 {
			when = append(when, fmt.Sprintf("level %d and up", r.level))
		}
		if len(r.rules) > 0 {
			when = append(when, "rules "+strings.Join(r.rules, ","))
		}
		what := strings.Join(when, " or ")
		switch r.timeout {
		case "":
		case "0":
			what += ", for ever"
		default:
			what += fmt.Sprintf(", for %s s", r.timeout)
		}
		if r.repeat != "" {
			what += fmt.Sprintf(", then for %s minutes", r.repeat)
		}
		add("active-response %s: %s", r.command.name, what)
	}
	return lines
}
