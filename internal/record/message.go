package record

import (
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// Blocked is the message about a block that is now in force; user is whom an alert about an
// address names, "" for nobody.
func Blocked(t target.Target, ruleID, user string) string {
	if t.Account() != "" {
		return arlog.Locked(t.Account(), ruleID)
	}
	return arlog.Blocked(t.Addr(), ruleID, user)
}

// Blocks is how a message about a block begins: without the rule.
func Blocks(t target.Target) string {
	if t.Account() != "" {
		return "Locked account: " + arlog.Word(t.Account())
	}
	return "Blocked IP: " + t.Addr().String() + Network(t)
}

// Network is how a message about an address that it names goes on where its network is blocked.
func Network(t target.Target) string {
	if t.Account() != "" || t.IsSingle() {
		return ""
	}
	return " (network " + t.String() + ")"
}

// Unblocked is the message about a block that is gone.
func Unblocked(t target.Target, user string) string {
	if t.Account() != "" {
		return arlog.Unlocked(t.Account())
	}
	return arlog.Unblocked(t.Addr(), user) + Network(t)
}

// Skipped is the message about what was not blocked, or not freed, on purpose.
func Skipped(t target.Target, why string) string {
	if t.Account() != "" {
		return arlog.SkippedAccount(t.Account(), why)
	}
	return arlog.Skipped(t.Addr(), why)
}
