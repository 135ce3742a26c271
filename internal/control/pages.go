package control

import (
	"cmp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
)

// manual are the commands man and help.
type manual struct{ *tool }

// man prints the page of ossec-ar or of a response.
func (t manual) man(c *cli.Context) int {
	page := cmp.Or(strings.TrimSuffix(c.Args().First(), ".8"), Name)
	if !slices.Contains(t.pages(), page) {
		return t.usage(command.Unknown("page", page, "there are "+strings.Join(t.pages(), ", "), t.pages()))
	}
	frame, text := t.frame(), toolPage
	if at := slices.Index(t.responses(), page); at >= 0 {
		frame = &cli.App{Name: page, Usage: t.all[at].Summary,
			UsageText: strings.ReplaceAll(responseUsage, "NAME", page)}
		text = command.ManText{
			Name: page, Description: append(slices.Clone(responsePages[page]), everyResponse...),
			Files: append([][2]string{{"/var/ossec/var/active-response/" + page + ".db",
				"the leases: who holds which address; for root only"}}, files...),
			Exit: exitStatus, SeeAlso: seeAlso,
		}
	}
	if err := command.ManWrite(t.Stdout, frame, text); err != nil {
		return t.fail(err)
	}
	return app.ExitOK
}

// pages are the pages that there are.
func (t manual) pages() []string { return append(t.responses(), Name) }

func (t manual) help(c *cli.Context) int {
	words := append(c.Args().Slice(), "--help")
	return t.run(c.Context, words)
}

const responseUsage = `NAME add|delete USER IP [ALERTID RULEID LOCATION FILENAME]   (as ossec-execd calls it)
NAME < REQUEST   (as wazuh-execd calls it: one line of JSON)
NAME [--dry-run] add|delete ADDRESS   (by hand)`

// responsePages are what the pages of the responses say of each alone.
var responsePages = map[string][]string{
	"firewall-drop": {
		"firewall-drop drops the packets of an address. With iptables it keeps a chain of its own, OSSEC_AR, in the filter tables of both families, to which INPUT jumps first, and on a host that forwards packets FORWARD, or DOCKER-USER if FORWARD leads there. The first addresses, firewall.max_rules of them, are rules of that chain; later ones are members of the sets ossec_ar4 and ossec_ar6, which the same chain drops. Where iptables is not installed, a table of nftables takes its place.",
		"What somebody flushed is made again by the next block, or within a minute by ossec-ar maintain.",
	},
	"host-deny": {
		"host-deny enters an address into /etc/hosts.deny, as ALL:203.0.113.7 or ALL:[2001:db8::7], and takes exactly that entry out again, also where it stood there before. Every other byte of the file stays, and no reader ever sees it half-written. Only services that are built with TCP wrappers (libwrap) read that file; on many systems none is.",
	},
	"route-null": {
		"route-null makes a blackhole route for an address, so that nothing that this host sends gets back to it. The routes carry the protocol number 214, and only such routes are ever removed. The line \"214 ossec_ar\" in /etc/iproute2/rt_protos.d/ossec_ar.conf gives it a name.",
	},
}

// everyResponse is what the pages of all responses say.
var everyResponse = []string{
	"It is run by ossec-execd with arguments, or by wazuh-execd with a line of JSON on standard input. A person may call it with an address alone; all his other words are those of ossec-ar(8), which it runs. Its home is the folder two above the executable when that is in active-response/bin, else $OSSEC_HOME, else /var/ossec.",
	"An address that several programs hold is free only when the last one gives it up. Whoever is on the whitelist is never blocked. When leases, log or configuration fail, the address is blocked and freed all the same, and the fault is logged.",
	"Host names are never resolved, and networks never blocked.",
}

var files = [][2]string{
	{"/var/ossec/logs/active-responses.log",
		"what was done, in the form that OSSEC's and Wazuh's rules read"},
	{"/var/ossec/etc/active-response.toml", "the configuration, optional: see active-response.toml(5)"},
	{"/var/ossec/etc/whitelist.d/", "files of addresses that are never blocked, one entry a line"},
	{"/var/ossec/etc/ossec.conf", "read for <white_list> and <allow_list>"},
}

var exitStatus = [][2]string{
	{"0", "what was asked for now holds, or was skipped on purpose"},
	{"1", "it does not hold; standard error says why"},
}

var seeAlso = []string{
	"active-response.toml(5)", "email-notification(8)", "firewall-drop(8)", "host-deny(8)", "ossec-ar(8)",
	"response-stats(8)", "route-null(8)",
}

var toolPage = command.ManText{
	Name: Name,
	Description: []string{
		"ossec-ar is for people, and for upkeep by cron or systemd: it shows what the active responses of this host block and why, blocks and frees by hand, and keeps what is in force as it is wanted. Without --response it works on all responses; block and import use firewall-drop then. Options may stand before and behind addresses.",
		"Its home is --home, else $OSSEC_HOME, else the folder above the bin that it was started from, also by way of a link such as /usr/sbin/ossec-ar, else /var/ossec.",
		"list shows one address of one response a line. Its STATE is `blocked`; `not in force`, when packets come by though somebody holds it; `waiting`, when the block could not be made and is tried again; `lifting`, when it was given back and could not be lifted; `not leased`, when it is blocked and nobody holds it, as an administrator's own line in hosts.deny; `whitelisted`, when it is held and on the whitelist by now. A narrow terminal shows fewer columns, a wide one more.",
		"block holds an address under the name ossec-ar, for ever or as long as --for says, whatever the daemons do. Whoever is on the whitelist is not blocked. unban frees an address in all responses and ends the holds of all programs on it.",
		"import holds the addresses of a list under the name import. A line that is a network or no address at all is reported and nothing is imported, unless --skip-invalid is given. unimport gives all of them up again.",
		"maintain is the job of each minute. It blocks again what is held and not in force, frees what nobody holds or what is on the whitelist by now, tries again what failed, ends what is over, and delivers mail that waits. It prints only what failed. repair does the first half of that and shows it; with --dry-run it only shows, and is exit status 1 when anything differs.",
		"A hold is over when its time is, or when the daemon that asked for it is gone and the longest time has passed that ar.conf gives its response, or lease.orphan_timeout.",
		"whitelist add and remove edit etc/whitelist.d/" + neverblock.OwnName + " and nothing else.",
	},
	Files: append([][2]string{
		{"/var/ossec/var/active-response/",
			"the holds of each response, what maintain did last, the mail queue; for root only"},
	}, files...),
	Exit:    exitStatus,
	SeeAlso: seeAlso,
}
