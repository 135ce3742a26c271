package report

import "github.com/ossec-ar/ossec-ar/internal/app/command"

var manualText = command.ManText{
	Name: Name,
	Description: []string{
		"Counts what the active responses of this host did, as logs/active-responses.log has it in the lines of this suite, of OSSEC's own scripts and of Wazuh's, and reports it. Without arguments, as cron calls it, it appends the report of the day to logs/response-stats.log, and prints it too when on a terminal.",
		"A block counts when the log says that it is in force; what was skipped or failed, and warnings, are counted beside. Programs that are known to block no address are told apart: accounts that disable-account locked are a count of their own, messages and restarts are listed. A line whose date is not in English counts by its clock, on the day of its alert. A day is a day of the host's clock. Rotated logs (.1, -YYYYMMDD, .gz, and folders YYYY/Mon) are read when the period needs them.",
		"A period in a large log is found by bisecting on time. Lines may then be up to two hours out of order; --thorough reads everything instead. Up to 200,000 different addresses are counted exactly. With more, the most blocked ones are still found, and the report says by how much their counts may be too low.",
		"Addresses are new when they were not blocked in the thirty days before the period, or in as much of them as the last 2 MiB of the log before it cover; --look-back sets another length.",
		"With --alerts, on a manager, the alerts that the responses' log lines raised there (rules 601 to 607 and 651 to 659, or any other on an active-responses.log) are counted instead, by agent. Their time is the manager's. An alert that stands in both alerts.log and alerts.json counts once: where one of them was off for a time, the other is read.",
	},
	Files: [][2]string{
		{"logs/active-responses.log", "what is counted"},
		{"logs/response-stats.log", "the reports of the days"},
		{"logs/alerts/alerts.log", "the descriptions of rules; with --alerts what is counted"},
		{"logs/alerts/alerts.json", "with --alerts, what alerts.log does not have"},
		{"var/active-response/*.db", "the leases: what is in force now"},
	},
	Exit: [][2]string{
		{"0", "the report is where it was wanted, and complete"},
		{"1", "it is not: standard error says why; what could be counted was reported"},
	},
	SeeAlso: []string{"firewall-drop(8)", "host-deny(8)", "route-null(8)",
		"email-notification(8)", "cron(8)"},
}
