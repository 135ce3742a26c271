package control_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// fails leases an address whose block cannot be made.
func (h *host) fails(text string) {
	h.Helper()
	h.drop.FailAddr(addr(text), errors.New("no room"))
	h.hold("firewall-drop", text, func(l *lease.Lease) { l.State, l.Reason = lease.Waiting, "adding "+text+": no room" })
}

// box is the queue of a channel that nobody delivers.
func (h *host) box(channel notice.Channel) *outbox.Box {
	h.Helper()
	box, err := outbox.Make(channel.Queue(ossec.Home(h.home)))
	var lock *os.File
	if err == nil {
		lock, err = box.Lock(time.Minute)
	}
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { lock.Close() })
	return box
}

// queued returns the notices in a queue.
func (h *host) queued(box *outbox.Box) (all []notice.Notice) {
	h.Helper()
	items, _, err := box.List(h.now)
	if err != nil {
		h.Fatal(err)
	}
	for _, i := range items {
		var n notice.Notice
		if err := json.Unmarshal(i.Body, &n); err != nil {
			h.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

const mailed = "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>192.0.2.1</smtp_server></global></ossec_config>"

// TestAnnounceFailed: of a block that failed, and fails still, there is one notice.
func TestAnnounceFailed(t *testing.T) {
	h := newHost(t)
	h.write("etc/ossec.conf", mailed)
	box := h.box(notice.Mail)
	h.fails("203.0.113.7")
	h.hold("firewall-drop", "203.0.113.8", func(l *lease.Lease) { l.State = lease.Waiting }) // which the first run blocks
	h.run("maintain")
	got := h.queued(box)
	if len(got) != 1 || got[0].Kind != notice.Alert || got[0].Addr != addr("203.0.113.7").Addr() ||
		got[0].RuleID != "5712" || got[0].AlertID != "1795422839.8" {
		t.Fatalf("%+v", got)
	}
	items, _, err := box.List(h.now)
	if err == nil {
		err = box.Drop(items[0].ID) // as one that was sent
	}
	if err != nil {
		t.Fatal(err)
	}
	h.run("maintain")
	if got := h.queued(box); len(got) != 0 {
		t.Errorf("told again: %+v", got)
	}

	// The next failure on the address, after a block that stood, is another.
	h.drop.FailAddr(addr("203.0.113.7"), nil)
	h.run("maintain")
	h.wantBlocked(h.drop, "203.0.113.7", "203.0.113.8")
	if err := h.store("firewall-drop").Update(func(tx *lease.Tx) error {
		return tx.Delete(addr("203.0.113.7"), "firewall-drop.sh")
	}); err != nil {
		t.Fatal(err)
	}
	h.drop.Lose(addr("203.0.113.7"))
	h.fails("203.0.113.7")
	h.run("maintain")
	if got := h.queued(box); len(got) != 1 {
		t.Errorf("the next failure: %+v", got)
	}
}

// TestAnnounceFailedWhom: only who wants such notices gets one, and only where no call of the notifying program queued it.
func TestAnnounceFailedWhom(t *testing.T) {
	for settings, want := range map[string][2]int{
		"":                                  {1, 0},
		"[mail]\non_failure = false\n":      {0, 0},
		"[[chat]]\nurl_file = \"/etc/x\"\n": {1, 1},
		"[[chat]]\nurl_file = \"/etc/x\"\non = [\"block\"]\n": {1, 0},
	} {
		h := newHost(t)
		h.write("etc/ossec.conf", mailed)
		h.write("etc/active-response.toml", settings)
		mail, chat := h.box(notice.Mail), h.box(notice.Chat)
		h.fails("203.0.113.7")
		h.run("maintain")
		if got := [2]int{len(h.queued(mail)), len(h.queued(chat))}; got != want {
			t.Errorf("%q: mail and chat %v, want %v", settings, got, want)
		}
	}
	h := newHost(t)
	h.fails("203.0.113.7")
	h.run("maintain")
	if _, err := os.Lstat(notice.Mail.Queue(ossec.Home(h.home))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a queue for nobody: %v", err)
	}
	h.write("etc/ossec.conf", mailed)
	box := h.box(notice.Mail)
	n := notice.Notice{Kind: notice.Alert, Addr: addr("203.0.113.7").Addr(), RuleID: "5712"}
	item, err := n.Item("email-notification.sh", h.now)
	if err == nil {
		err = box.Add(item, notice.Shorten)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.run("maintain")
	if got := h.queued(box); len(got) != 1 {
		t.Errorf("told twice: %+v", got)
	}
}

// TestAnnounceFailedMany: many are one notice, which says what they have in common.
func TestAnnounceFailedMany(t *testing.T) {
	h := newHost(t)
	h.write("etc/ossec.conf", mailed)
	box := h.box(notice.Mail)
	h.drop.Fail("BlockAll", errors.New("no room"))
	h.drop.Fail("Block", errors.New("no room"))
	if err := h.store("firewall-drop").Update(func(tx *lease.Tx) error {
		for i := range 3000 {
			a := fmt.Sprintf("198.51.%d.%d", i/250, i%250)
			reason := "adding " + a + ": no room"
			if i%250 == 7 {
				reason = fmt.Sprintf("cause %d\x1b[2J", i)
			}
			if err := tx.Put(lease.Lease{Target: addr(a), Program: "firewall-drop.sh", RuleID: "5712", Since: noon,
				Renewed: noon.Add(time.Duration(3000-i) * time.Millisecond), State: lease.Waiting, Reason: reason}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.run("maintain")
	h.run("maintain")
	got := h.queued(box)
	if len(got) != 1 || got[0].Kind != notice.Failed || got[0].Subject != "OSSEC Alert: 3000 Blocks Failed" ||
		!slices.Equal(got[0].Standing.Responses, []string{"firewall-drop"}) {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{
		"The first:\n    198.51.11.249 (rule 5712)\n    firewall-drop.sh: adding ...: no room\n",
		"The causes:\n      2988 times: firewall-drop.sh: adding ...: no room\n         1 times: firewall-drop.sh: cause 1007\\x1b[2J\n",
		"    and 8 more\n",
	} {
		if !strings.Contains(got[0].Text, want) {
			t.Errorf("%s\nlacks %q", got[0].Text, want)
		}
	}
}
