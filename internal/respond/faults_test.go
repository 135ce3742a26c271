package respond_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestFailedAddWaits: a block that cannot be made is an error, and its lease stays and waits.
func TestFailedAddWaits(t *testing.T) {
	h := newHost(t)
	h.fake.Fail("Block", errors.New("no memory"))
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.want("add", 1, none, "firewall-drop.sh error - 203.0.113.7 1.1 5712 - Failed: no memory")
	if h.stderr != "firewall-drop.sh: no memory\n" {
		t.Errorf("standard error: %q", h.stderr)
	}
	l := h.leases()
	if len(l) != 1 || l[0].State != lease.Waiting || l[0].Reason != "no memory" {
		t.Errorf("leases: %+v, want one that waits", l)
	}
	h.fake.Fail("Block", nil)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.2", "5712")
	h.want("the next add", 0, addrs(addr7), "firewall-drop.sh add - 203.0.113.7 1.2 5712 - Blocked IP: 203.0.113.7 (Rule: 5712)")
	if l := h.leases(); len(l) != 1 || l[0].State != lease.Held {
		t.Errorf("leases: %+v, want one that is held", l)
	}
}

func TestDeleteEndsWaiting(t *testing.T) {
	h := newHost(t)
	h.fake.Fail("Block", errors.New("no memory"))
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	if l := h.leases(); h.status != 0 || len(l) != 0 {
		t.Errorf("exit status %d, leases %+v", h.status, l)
	}
}

// TestFailedDelete: what could not be lifted is not forgotten, and the next delete lifts it.
func TestFailedDelete(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.logged()
	h.fake.Fail("Unblock", errors.New("locked"))
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	h.want("delete", 1, addrs(addr7), "firewall-drop.sh error - 203.0.113.7 1.1 5712 - Failed: locked")
	if l := h.leases(); len(l) != 1 || l[0].State != lease.Lifting {
		t.Errorf("leases: %+v, want one that is being lifted", l)
	}
	h.fake.Fail("Unblock", nil)
	h.call("custom-firewall-drop.sh", "delete", "-", "203.0.113.7", "1.2", "31103")
	h.want("another's delete", 0, none, "custom-firewall-drop.sh delete - 203.0.113.7 1.2 31103 - Unblocked IP: 203.0.113.7")
	if l := h.leases(); len(l) != 0 {
		t.Errorf("leases left: %+v", l)
	}
}

// TestPlaceMadeAgain: the call that has to make the place puts back what others hold.
func TestPlaceMadeAgain(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	h.fake.LosePlace()
	h.logged()
	h.call("firewall-drop.sh", "add", "-", "203.0.113.8", "1.2", "5712")
	h.want("add", 0, addrs(addr7, addr8), "firewall-drop.sh add - 203.0.113.8 1.2 5712 - Blocked IP: 203.0.113.8 (Rule: 5712)")
}

// TestStateFails: without leases the block is made and lifted all the same, and a warning logged
// once a day.
func TestStateFails(t *testing.T) {
	h := newHost(t)
	h.write("var/active-response", "no folder")
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	lines := h.logged()
	if h.status != 0 || len(lines) != 2 || !strings.HasSuffix(lines[0], "Blocked IP: 203.0.113.7 (Rule: 5712)") ||
		!strings.Contains(lines[1], " warn - 203.0.113.7 1.1 5712 - Warning: ") {
		t.Errorf("exit status %d, logged %q", h.status, lines)
	}
	h.call("firewall-drop.sh", "delete", "-", "203.0.113.7", "1.1", "5712")
	if h.status != 0 || len(h.fake.Blocked()) != 0 {
		t.Errorf("delete: exit status %d, blocked %v", h.status, h.fake.Blocked())
	}
}

func TestBrokenSettings(t *testing.T) {
	h := newHost(t)
	h.write("etc/active-response.toml", "[whitelist]\nown_addresses = false\ngateways = false\ndns_servers = false\n[firewal]\n")
	for range 2 {
		h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
	}
	var warnings int
	for _, line := range h.logged() {
		if strings.Contains(line, " warn - 203.0.113.7 1.1 5712 - Warning: ") && strings.Contains(line, "firewal") {
			warnings++
		} else if !strings.Contains(line, " Blocked IP: 203.0.113.7") {
			t.Errorf("logged %q", line)
		}
	}
	if warnings != 1 || len(h.fake.Blocked()) != 1 {
		t.Errorf("%d warnings, want one; blocked %v", warnings, h.fake.Blocked())
	}
}

// TestFullSet: where nothing fits, the address that a dead daemon has held longest makes room.
func TestFullSet(t *testing.T) {
	h := newHost(t)
	h.call("firewall-drop.sh", "add", "-", "203.0.113.8", "1.1", "5712")
	h.fake.Room = 1
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.2", "5712")
	if h.status != 1 || !strings.Contains(h.stderr, enforcer.ErrFull.Error()) {
		t.Errorf("nobody's daemon is gone: exit status %d, %q", h.status, h.stderr)
	}
	store := lease.New(filepath.Join(h.home, "var/active-response"), "firewall-drop")
	err := store.Update(func(tx *lease.Tx) error {
		return tx.Put(lease.Lease{Target: addr8, Program: "firewall-drop.sh", Since: h.now, Renewed: h.now,
			Daemon: &lease.Daemon{Name: "ossec-execd", PID: 1 << 30, Start: 1, Boot: "gone"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.3", "5712")
	if h.status != 0 || fmt.Sprint(h.fake.Blocked()) != fmt.Sprint(addrs(addr7)) {
		t.Errorf("exit status %d, blocked %v; %s", h.status, h.fake.Blocked(), h.stderr)
	}
}

// TestHangs: the deadline of the whole call reaches the enforcer.
func TestHangs(t *testing.T) {
	h := newHost(t)
	h.fake.Before = func(ctx context.Context, _ string, _ ...target.Target) error {
		if _, limited := ctx.Deadline(); !limited {
			t.Error("an enforcer without a deadline")
		}
		return nil
	}
	h.call("firewall-drop.sh", "add", "-", "203.0.113.7", "1.1", "5712")
}
