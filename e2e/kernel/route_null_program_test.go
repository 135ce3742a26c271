package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRouteNullProgramStorm: the real program, 300 times at once, with nothing there
// before. All routes stand, and in the end the others' are as they were.
func TestRouteNullProgramStorm(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ip := Program(t, "ip")
	_, victim := Hosts(t)
	for _, route := range []string{
		"default via 198.51.100.1", "198.18.0.0/24 via 198.51.100.1", "blackhole 198.18.1.0/28", "198.18.0.5 via 198.51.100.1",
		"prohibit 198.18.0.6", "blackhole 203.0.113.1", "unreachable 198.18.0.7 metric 9", "default via 2001:db8:1::1", "blackhole 2001:db8:9::9 metric 1",
	} {
		victim.Run(t, ip, append([]string{"route", "add"}, strings.Fields(route)...)...)
	}
	before := routes(t, ip)
	program := filepath.Join(buildPrograms(t), "route-null")

	storm(t, program, "add", 300)
	for i := range 300 {
		addr := fmt.Sprintf("198.18.%d.%d", i/250, i%250)
		if out, err := victim.Try(t, exec.Command(ip, "route", "get", addr)); err == nil {
			t.Errorf("%s still has a way: %s", addr, out)
		}
	}
	respond(t, program, "add", "-", "2001:db8:9::7", "1304756247.60385", "5712")
	if got := inForce(t, program); got != 301 {
		t.Errorf("list shows %d addresses, want 301", got)
	}

	// unban and delete free one each, twice does no harm.
	for range 2 {
		person(t, program, "unban", "2001:db8:9::7")
		respond(t, program, "delete", "-", "198.18.1.49", "1304756247.60385", "5712")
	}
	after := routes(t, ip)
	for _, freed := range []string{"2001:db8:9::7", "198.18.1.49"} {
		if strings.Contains(after, freed+" ") {
			t.Errorf("%s is not freed:\n%s", freed, after)
		}
	}
	// What others made is not ours to delete.
	for _, foreign := range []string{"203.0.113.1", "2001:db8:9::9"} {
		respond(t, program, "delete", "-", foreign, "1.2", "5712")
	}
	if out := person(t, program, "flush"); out != "Unblocked all: 299 addresses (route-null)\n" {
		t.Errorf("flush says %q", out)
	}
	if got := routes(t, ip); got != before {
		t.Errorf("routes were\n%s\nand now are\n%s", before, got)
	}
	wantNone(t, "after flush", program)
	log := logOf(t, program)
	// Deletes are one unban, a daemon's two of one address, two of what was not ours, and all.
	for status, want := range map[string]int{"add": 301, "delete": 1 + 2 + 2 + 299, "error": 0} {
		if got := strings.Count(log, program+" "+status+" - "); got != want {
			t.Errorf("%d lines of %s, want %d", got, status, want)
		}
	}
}

// TestRouteNullProgramStopsAnswers: a second host hears nothing more after add, and is
// heard again after delete.
func TestRouteNullProgramStopsAnswers(t *testing.T) {
	if !Isolated(t) {
		return
	}
	attacker, victim := Hosts(t)
	stopsPackets(t, attacker, victim, filepath.Join(buildPrograms(t), "route-null"), func(netip.Addr) {})
}

// TestRouteNullProgramTypes: the type of route is the administrator's to choose, and one
// that is none is reported and does not keep the block away.
func TestRouteNullProgramTypes(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ip := Program(t, "ip")
	_, victim := Hosts(t)
	bin := buildPrograms(t)
	program, etc := filepath.Join(bin, "route-null"), filepath.Join(filepath.Dir(filepath.Dir(bin)), "etc")
	for _, test := range []struct{ configured, made, says string }{
		{"prohibit", "prohibit", ""},
		{"unreachable", "unreachable", ""},
		{"blackhole", "blackhole", ""},
		{"throw", "blackhole", `route-null: ` + etc + `/active-response.toml:2: route_null.type: "throw" is not one of blackhole, unreachable, prohibit`},
	} {
		err := os.WriteFile(filepath.Join(etc, "active-response.toml"), []byte("[route_null]\ntype = \""+test.configured+"\"\n"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range []string{"203.0.113.7", "2001:db8:9::7"} {
			out := victim.Run(t, program, "add", "-", addr, "1304756247.60385", "5712")
			if strings.TrimSuffix(out, "\n") != test.says {
				t.Errorf("%s: add says %q, want %q", test.configured, out, test.says)
			}
			if got := routes(t, ip); !strings.Contains(got, test.made+" "+addr+" ") || strings.Count(got, addr+" ") != 1 {
				t.Errorf("%s: want one route to %s, %s:\n%s", test.configured, addr, test.made, got)
			}
		}
	}
}
