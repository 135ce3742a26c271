package notify

import "github.com/ossec-ar/ossec-ar/internal/app/command"

var manualText = command.ManText{
	Name: Name,
	Description: []string{
		"Tells people by mail that an address attacked: the rule, the alert's log lines, and by which responses the address is blocked at that moment, or that it is whitelisted or not blocked at all. Called with delete, it does nothing unless on_delete is set or --on-delete is given.",
		"The mail goes to the <email_to> addresses of <global> in etc/ossec.conf by its <smtp_server>, which may be a sendmail program, as in /usr/sbin/sendmail -t, but no command line for a shell; all of OSSEC's mail settings count. The table [mail] of etc/active-response.toml stands before them and can do more: recipients for single rules, levels and groups, a password file, own templates.",
		"A call only puts the notification into the queue and returns. A process in the background waits up to two seconds for the alert and the block, writes the mail and sends it. When the server cannot be reached, the mail waits, with growing pauses of up to half an hour; flush, from cron or systemd, goes on when that process has ended. What the server refuses for good is kept and shown by queue.",
		"Alerts on one address within a minute make one mail. No more than <email_maxperhour> mails go in an hour, 12 when unset: two thirds of them at once, one for each address; when more addresses wait than that leaves room for, they go together, and one mail names them all.",
		"The connection is encrypted when the server offers it. With secure_smtp, a tls setting, or a login at a server elsewhere it must be, and the certificate must be good. Of the ways to log in the strongest that both know is taken: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN, CRAM-MD5.",
		"A template is written in the language of Go's text/template, that for HTML in html/template's. `template subject`, `template text` and `template html` print the built-in ones to begin with; a broken one is told by check, and the built-in one serves in its place.",
	},
	Files: [][2]string{
		{"etc/ossec.conf", "whom to mail and how, in <global>; the whitelist"},
		{"etc/active-response.toml", "more of the same, in [mail]: see active-response.toml(5)"},
		{"logs/notifications.log", "what was sent, and what was not and why"},
		{"logs/alerts/alerts.log", "where the alert is looked for; also alerts.json and the files of former days"},
		{"var/active-response/mail", "the queue"},
		{"var/active-response/*.db", "the leases: which responses hold which address"},
	},
	Exit: [][2]string{
		{"0", "the notification is in the queue, or none was to be sent; what was asked for was done"},
		{"1", "it is not, or cannot be sent until the settings are mended: standard error and the log say why"},
	},
	SeeAlso: []string{"active-response.toml(5)", "firewall-drop(8)", "host-deny(8)", "route-null(8)", "response-stats(8)", "sendmail(8)"},
}
