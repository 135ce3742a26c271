package stats

import "strings"

// class is what a program does when it is called.
type class uint8

const (
	blocks class = iota // addresses, as all programs do that are not known better
	locks               // accounts
	other               // nothing of that: it sends a message, or restarts the daemons
)

// classOf knows the stock programs of OSSEC and Wazuh, and those of this suite.
func classOf(program string) class {
	switch strings.TrimSuffix(program, ".sh") {
	case "disable-account":
		return locks
	case "email-notification", "chat-notification", "ossec-slack", "ossec-pagerduty", "ossec-tweeter",
		"wazuh-slack", "restart", "restart-ossec", "restart-wazuh", "kaspersky":
		return other
	}
	return blocks
}

// responseOf returns the response that a program is a name of: what one of its names blocked,
// the next one may free, and ossec-ar logs by the response's own name.
func responseOf(program string) string {
	name := strings.TrimPrefix(strings.TrimSuffix(program, ".sh"), "custom-")
	switch name {
	case "block-ip", "default-firewall-drop", "firewalld-drop", "nftables-drop":
		return "firewall-drop"
	}
	return name
}
