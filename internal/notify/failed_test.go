package notify

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// A block that failed is told to who wants failures, of whatever level where that is not known, and so
// are many.
func TestChatFailures(t *testing.T) {
	t.Parallel()
	h := newChatHouse(t, "", [3]string{"ntfy.url", "ntfy://ntfy.sh/t", "on = [\"failure\"]\nlevel = 10\nresponses = [\"firewall-drop\"]"})
	store := lease.New(h.home.State(), "firewall-drop")
	if err := store.Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: target.MustParse("203.0.113.7"), Program: "firewall-drop.sh", State: lease.Waiting})
	}); err != nil {
		t.Fatal(err)
	}
	many := func(response string) notice.Notice {
		return notice.Notice{Kind: notice.Failed, Subject: "30 Blocks Failed: " + response, Text: "no room",
			Standing: notice.Standing{Responses: []string{response}}}
	}
	box, err := outbox.Make(notice.Chat.Queue(h.home))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []notice.Notice{
		{Kind: notice.Alert, Addr: netip.MustParseAddr("203.0.113.8"), RuleID: "5712"}, // which nothing blocks
		{Kind: notice.Alert, Addr: netip.MustParseAddr("203.0.113.7"), RuleID: "5712"},
		many("host-deny"), many("firewall-drop"),
	} {
		item, err := n.Item(h.tool(), time.Now())
		if err == nil {
			err = box.Add(item, notice.Shorten)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if status, _, stderr := h.chat("flush"); status != 0 {
		t.Fatal(stderr)
	}
	got := []string{h.next().Header.Get("Title"), h.next().Header.Get("Title")}
	slices.Sort(got)
	if want := []string{"30 Blocks Failed: firewall-drop", "OSSEC Alert: Block Failed - 203.0.113.7"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if n := strings.Count(h.log(), " Chat "); n != 2 {
		t.Errorf("log\n%s", h.log())
	}
}
