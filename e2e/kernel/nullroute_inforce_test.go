package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/nullroute"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestNullrouteNotInForce: when the route can't do its work, Block says so and
// leaves no route behind.
func TestNullrouteNotInForce(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ip := Program(t, "ip")
	_, victim := Hosts(t)
	victim.Run(t, ip, "-6", "route", "add", "2001:db8:2::7/128", "via", "2001:db8:1::1", "metric", "1")
	victim.Run(t, ip, "route", "add", "203.0.113.0/24", "via", "198.51.100.1", "table", "100")
	victim.Run(t, ip, "rule", "add", "pref", "100", "lookup", "100")
	before := routes(t, ip)
	e := newNullroute(t, nullroute.Options{})
	for _, addr := range []string{"203.0.114.7", "2001:db8:3::7"} { // before there is another way
		_, err := e.Block(t.Context(), target.MustParse(addr), enforcer.Unknown)
		must(t, err)
	}
	victim.Run(t, ip, "route", "add", "203.0.114.0/24", "via", "198.51.100.1", "table", "100")
	victim.Run(t, ip, "-6", "route", "add", "2001:db8:3::/64", "via", "2001:db8:1::1", "table", "100")
	victim.Run(t, ip, "-6", "rule", "add", "pref", "100", "lookup", "100")
	for addr, want := range map[string]string{
		"203.0.114.7": "look at `ip rule`", "2001:db8:3::7": "look at `ip rule`",
		victim.V4.String(): "an address of this host", victim.V6.String(): "an address of this host", "127.0.0.1": "an address of this host",
		"203.0.113.7": "look at `ip rule`", "2001:db8:2::7": "a route that is not ours has the metric 1",
		"fe80::7": "packets to a link-local address pass by the main table's other routes; firewall-drop blocks it",
	} {
		_, err := e.Block(t.Context(), target.MustParse(addr), enforcer.Unknown)
		if err == nil || !strings.HasPrefix(err.Error(), "adding blackhole route for "+addr+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("Block(%s): %v, want %q", addr, err, want)
		}
	}
	if after := routes(t, ip); after != before {
		t.Errorf("routes were\n%s\nand now are\n%s", before, after)
	}
}

// TestNullrouteWayByAnotherUplink: what a rule sends to another table by its source still
// goes out, and the administrator hears of it.
func TestNullrouteWayByAnotherUplink(t *testing.T) {
	if !Isolated(t) {
		return
	}
	attacker, victim := Hosts(t)
	e := newNullroute(t, nullroute.Options{})
	findings := func() (found []string) {
		for _, f := range e.Inspect(t.Context(), t.TempDir()) {
			if f.What == "routing rules" {
				found = append(found, string(f.Verdict)+" "+f.Found)
			}
		}
		return found
	}
	if found := findings(); len(found) > 0 {
		t.Errorf("with the rules that every host has: %q", found)
	}
	victim.network(t,
		"addr add 198.51.100.3/24 dev eth0", "route add default via 198.51.100.1 dev eth0 table 100", "rule add pref 100 from 198.51.100.3 lookup 100",
		"rule add pref 200 from 198.51.100.2 lookup main", "rule add pref 300 from 192.0.2.0/24 lookup 100",
		"-6 addr add 2001:db8:1::3/64 dev eth0 nodad", "-6 route add default via 2001:db8:1::1 dev eth0 table 100", "-6 rule add pref 100 from 2001:db8:1::3 lookup 100",
	)
	for addr, from := range map[netip.Addr]string{attacker.V4: "198.51.100.3", attacker.V6: "2001:db8:1::3"} {
		if err := attacker.Ping(t, netip.MustParseAddr(from), patience); err != nil {
			t.Fatal(err)
		}
		out, err := e.Block(t.Context(), target.Of(addr), enforcer.Unknown)
		must(t, err)
		if want := fmt.Sprintf("packets from %s to %s still have a way, look at `ip rule`; firewall-drop has no such gap", from, addr); len(out.Notes) != 1 || out.Notes[0] != want {
			t.Errorf("notes are %q, want %q", out.Notes, want)
		}
		if err := attacker.Ping(t, netip.MustParseAddr(from), patience); err != nil {
			t.Errorf("what the note says is not so: %v", err)
		}
	}
	want := []string{
		"warn what `ip rule` sends to other tables before the main one passes by the routes: rule 100, 300",
		"warn what `ip -6 rule` sends to other tables before the main one passes by the routes: rule 100",
	}
	if found := findings(); !slices.Equal(found, want) {
		t.Errorf("findings are %q, want %q", found, want)
	}
}

// TestNullrouteFrontRoute: a route that somebody put in front of ours.
func TestNullrouteFrontRoute(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ip := Program(t, "ip")
	attacker, victim := Hosts(t)
	e := newNullroute(t, nullroute.Options{})
	for range 2 {
		if _, err := e.Block(t.Context(), target.Of(attacker.V4), enforcer.Unknown); err != nil {
			t.Fatal(err)
		}
		if err := victim.Ping(t, attacker.V4, patience); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("ping while blocked: %v, want EINVAL", err)
		}
		victim.Run(t, ip, "route", "prepend", attacker.V4.String(), "dev", "eth0")
		if err := victim.Ping(t, attacker.V4, patience); err != nil {
			t.Fatalf("ping while the route in front leads there: %v", err)
		}
		if blocks := routesListed(t, e); len(blocks) != 1 || !strings.Contains(blocks[0].Open, "packets to it still have a way") {
			t.Errorf("listed are %+v, want one that is open", blocks)
		}
		if _, err := e.Block(t.Context(), target.Of(attacker.V4), enforcer.Unknown); err != nil {
			t.Fatal(err)
		}
		if err := victim.Ping(t, attacker.V4, patience); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("ping while blocked again: %v, want EINVAL", err)
		}
		if blocks := routesListed(t, e); len(blocks) != 1 || blocks[0].Open != "" {
			t.Errorf("listed are %+v, want one in force", blocks)
		}
		victim.Run(t, ip, "route", "del", attacker.V4.String(), "dev", "eth0")
		if err := e.Unblock(t.Context(), target.Of(attacker.V4)); err != nil {
			t.Fatal(err)
		}
	}
}
