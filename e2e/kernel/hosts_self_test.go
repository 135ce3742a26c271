package kernel

import (
	"net/netip"
	"testing"
)

// TestHosts is the harness's own: two hosts that reach one another.
func TestHosts(t *testing.T) {
	if !Isolated(t) {
		return
	}
	attacker, victim := Hosts(t)
	for _, pair := range [][2]netip.Addr{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
		if err := attacker.Ping(t, pair[1], patience); err != nil {
			t.Errorf("attacker to victim: %v", err)
		}
		if err := victim.Ping(t, pair[0], patience); err != nil {
			t.Errorf("victim to attacker: %v", err)
		}
		conn, err := attacker.Dial(t, victim.Echo(t, pair[1]), patience)
		if err != nil {
			t.Fatal(err)
		}
		if err := Answers(conn, "hello", patience); err != nil {
			t.Errorf("echo from %s: %v", pair[1], err)
		}
	}
	inside, outside := victim.Run(t, "readlink", "/proc/self/ns/net"), attacker.Run(t, "readlink", "/proc/self/ns/net")
	if inside == outside {
		t.Errorf("programs run in the same network on both hosts: %s", inside)
	}
}
