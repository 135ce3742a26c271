package setup

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// Dialect is whose ossec.conf it is.
type Dialect int

// The dialects. They differ in little: Wazuh wants <disabled> in every
// <active-response>, and OSSEC hands an address over only where <expect> asks for it.
const (
	OSSEC Dialect = iota
	Wazuh
)

func (d Dialect) String() string { return [...]string{"OSSEC", "Wazuh"}[d] }

// command is a <command>.
type command struct {
	name       string
	executable string
	timeout    bool // <timeout_allowed>
	noAddress  bool // one that is there, and whose <expect> does not ask for the address
	line       int  // of one that is there
}

// The commands, by the names that tutorials and people's configurations have for them.
var (
	firewallDrop   = command{name: "firewall-drop", executable: "firewall-drop.sh", timeout: true}
	hostDeny       = command{name: "host-deny", executable: "host-deny.sh", timeout: true}
	routeNull      = command{name: "route-null", executable: "route-null.sh", timeout: true}
	webAttackBlock = command{name: "web-attack-block", executable: "custom-firewall-drop.sh", timeout: true}
	emailAlert     = command{name: "email-alert", executable: "email-notification.sh"}
	chatAlert      = command{name: "chat-alert", executable: "chat-notification.sh"}
)

// response is an <active-response>. OSSEC joins a level and rules with "or".
type response struct {
	command command
	rules   []string
	wazuh   []string // the rules there, if they are others; empty for none
	level   int      // at least this level; 0 for none
	timeout string   // in seconds, digits only; "" for a command that takes none
	// repeat is <repeated_offenders> in minutes. execd reads it from the first
	// <active-response> of an <ossec_config> only.
	repeat   string
	comment  []string
	location string // of one that is there
	line     int    // likewise
}

// profile is a set of responses that is chosen by its name.
type profile struct {
	name      string
	summary   []string
	commands  []command // that are defined even if nothing here uses them
	responses []response
}

// profiles are all there are, in the order in which they are written: that with
// <repeated_offenders> has to be first.
var profiles = []profile{
	{
		name: "repeat",
		summary: []string{
			"Repeat offenders: an address that is blocked again stays blocked for longer.",
			"The values are minutes, for the second, third and every later block; five at most,",
			"and a 0 in the first place turns it off. ossec-execd reads them from the first",
			"<active-response> of an <ossec_config> only, and on the host on which it runs: an",
			"agent needs them in an ossec.conf of its own.",
		},
		responses: []response{{command: firewallDrop, rules: []string{"5712"}, wazuh: []string{"5712", "5763"},
			timeout: "3600", repeat: "30,60,120"}},
	},
	{
		name:     "ssh",
		summary:  []string{"Attacks on SSH: the firewall for ten minutes."},
		commands: []command{firewallDrop, hostDeny, routeNull},
		responses: []response{
			{command: firewallDrop, rules: []string{"5712", "5720"}, timeout: "600",
				wazuh: []string{"5712", "5763", "5720"}},
			{command: hostDeny, rules: []string{"5711"}, timeout: "300", wazuh: []string{},
				comment: []string{"hosts.deny for five minutes. Rule 5711 has level 0 in the stock rules, and then",
					"nothing runs: this is for sites whose own rules raise it."}},
		},
	},
	{
		name: "web",
		summary: []string{
			"Attacks on web servers: a scan is blocked for half an hour, an attack for an",
			"hour. Both are the same program under two names, so that each has blocks of its own.",
		},
		responses: []response{
			{command: firewallDrop, rules: []string{"31151", "31152", "31153"}, timeout: "1800"},
			{command: webAttackBlock, rules: []string{"31103", "31104", "31106", "31108", "31109"},
				timeout: "3600"},
		},
	},
	{
		name: "severity",
		summary: []string{
			"Responses by the level of the alert. A <level> is a minimum: OSSEC",
			"has no lists of levels (8,9,10 is refused) and no upper bound. So the bands",
			"overlap, and a higher one includes all lower ones:",
			"  6 and 7     a mail",
			"  8 to 11     a mail, and hosts.deny for half an hour",
			"  12 and up   a mail, hosts.deny for half an hour, and the firewall for ever",
			"For ever means until `ossec-ar unban ADDRESS`: set up the whitelist first.",
		},
		responses: []response{
			{command: firewallDrop, level: 12, timeout: "0", comment: []string{"0: no end"}},
			{command: hostDeny, level: 8, timeout: "1800"},
			{command: emailAlert, level: 6},
		},
	},
	{
		name: "mail",
		summary: []string{
			"A mail about each blocked address, to the <email_to> addresses of <global>.",
			"It has no timeout: there is nothing to undo.",
		},
		responses: []response{{command: emailAlert, rules: []string{"5712", "5720", "31151"},
			wazuh: []string{"5712", "5763", "5720", "31151"}}},
	},
	{
		name: "chat",
		summary: []string{
			"A message about each blocked address, to the services that [[chat]] of",
			"active-response.toml names. It has no timeout: there is nothing to undo.",
		},
		responses: []response{{command: chatAlert, rules: []string{"5712", "5720", "31151"},
			wazuh: []string{"5712", "5763", "5720", "31151"}}},
	},
}

// DefaultProfiles are those that are set up when none is named. severity and repeat are
// not among them, for they block for ever and for longer than people expect.
var DefaultProfiles = []string{"ssh", "web", "mail"}

// ProfileNames returns the names of all profiles.
func ProfileNames() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// chosen returns the profiles of these names with a dialect's rules, in the order in which they are written.
func chosen(names []string, d Dialect) ([]profile, error) {
	for _, name := range names {
		if !slices.Contains(ProfileNames(), name) {
			return nil, fmt.Errorf("there is no profile %q: choose from %s", name,
				strings.Join(ProfileNames(), ", "))
		}
	}
	var out []profile
	for _, p := range profiles {
		if slices.Contains(names, p.name) {
			out = append(out, p.in(d))
		}
	}
	return out, nil
}

func (p profile) in(d Dialect) profile {
	var responses []response
	for _, r := range p.responses {
		if d == Wazuh && r.wazuh != nil {
			r.rules = r.wazuh
		}
		if len(r.rules) > 0 || r.level > 0 {
			responses = append(responses, r)
		}
	}
	p.responses = responses
	return p
}

// contents is what one <ossec_config> is to hold.
type contents struct {
	rules     []string // files to include
	joined    bool     // which a <rules> that is there does, not the block
	whitelist []string
	localfile []string // paths of logs
	commands  []command
	responses []response
	// repeat is <repeated_offenders> without a response: for an agent.
	repeat string
}

// empty reports whether there is nothing for the block.
func (c contents) empty() bool {
	return (len(c.rules) == 0 || c.joined) &&
		len(c.whitelist)+len(c.localfile)+len(c.commands)+len(c.responses) == 0 && c.repeat == ""
}

// writer writes elements.
type writer struct{ strings.Builder }

func (w *writer) element(indent, name, text string) {
	text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	w.WriteString(indent + "<" + name + ">" + text + "</" + name + ">\n")
}

func (w *writer) comment(indent string, lines []string) {
	if len(lines) > 0 {
		w.WriteString(indent + "<!-- " + strings.Join(lines, "\n"+indent+"     ") + " -->\n")
	}
}

// block writes an element with leaves, name and text in turn, but those without text.
func (w *writer) block(name string, leaves ...string) {
	w.WriteString("  <" + name + ">\n")
	for leaf := range slices.Chunk(leaves, 2) {
		if leaf[1] != "" {
			w.element("    ", leaf[0], leaf[1])
		}
	}
	w.WriteString("  </" + name + ">\n")
}

func (w *writer) list(block, leaf string, texts []string) {
	var leaves []string
	for _, text := range texts {
		leaves = append(leaves, leaf, text)
	}
	if leaves != nil {
		w.block(block, leaves...)
	}
}

// write renders an <ossec_config>. A <command> stands before every <active-response>,
// for OSSEC takes none that it does not know yet.
func (c contents) write(d Dialect) string {
	expect, disabled := "srcip", ""
	if d == Wazuh {
		expect, disabled = "", "no"
	}
	w := &writer{}
	w.WriteString("<ossec_config>\n")
	w.list("global", "white_list", c.whitelist)
	if !c.joined {
		w.list("rules", "include", c.rules)
	}
	for _, path := range c.localfile {
		w.block("localfile", "log_format", "syslog", "location", path)
	}
	for _, cmd := range c.commands {
		allowed := ""
		if cmd.timeout {
			allowed = "yes"
		}
		w.block("command", "name", cmd.name, "executable", cmd.executable, "expect", expect,
			"timeout_allowed", allowed)
	}
	if c.repeat != "" {
		w.block("active-response", "disabled", "no", "repeated_offenders", c.repeat)
	}
	for _, r := range c.responses {
		level := ""
		if r.level > 0 {
			level = strconv.Itoa(r.level)
		}
		w.comment("  ", r.comment)
		w.block("active-response", "disabled", disabled, "command", r.command.name, "location", "local",
			"level", level, "rules_id", strings.Join(r.rules, ","), // a tab in it would end the list
			"timeout", r.timeout, "repeated_offenders", r.repeat)
	}
	w.WriteString("</ossec_config>\n")
	return w.String()
}

// logs are the suite's logs that logcollector is to follow.
func logs(home string) []string {
	h := ossec.Home(home)
	return []string{h.ResponseLog(), h.NotificationLog(), h.StatsLog()}
}
