package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/nullroute"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

func init() {
	// nullroute-block ADDRESS: waits until standard input ends, then blocks.
	roles["nullroute-block"] = func(args []string) error {
		e, err := nullroute.New(nullroute.Options{})
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
		_, err = e.Block(context.Background(), target.MustParse(args[0]), enforcer.Known{})
		return err
	}
}

func newNullroute(t *testing.T, options nullroute.Options) *nullroute.Enforcer {
	t.Helper()
	e, err := nullroute.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// listed returns what an enforcer holds.
func routesListed(t *testing.T, e enforcer.Enforcer) []enforcer.Block {
	t.Helper()
	listing, err := e.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(listing.Faults) > 0 {
		t.Errorf("faults: %q", listing.Faults)
	}
	return listing.Blocks
}

// routes returns what `ip route` shows, both families.
func routes(t *testing.T, ip string) string {
	t.Helper()
	var here Host
	return here.Run(t, ip, "-4", "route") + here.Run(t, ip, "-6", "route")
}

func TestNullrouteContract(t *testing.T) {
	for _, kind := range []string{nullroute.Blackhole, nullroute.Unreachable, nullroute.Prohibit} {
		t.Run(kind, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			Hosts(t)
			enforcertest.Contract(t, newNullroute(t, nullroute.Options{Type: kind}))
		})
	}
}

// TestNullrouteLeavesOthers: every route that is not ours is there afterwards.
func TestNullrouteLeavesOthers(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ip := Program(t, "ip")
	attacker, victim := Hosts(t)
	for _, route := range []string{
		"default via 198.51.100.1", "203.0.113.0/24 via 198.51.100.1", "blackhole 203.0.113.0/28", "203.0.113.9/32 via 198.51.100.1 metric 50",
		"blackhole 203.0.113.8 proto static metric 7", "unreachable 192.0.2.0/24 proto 214", "203.0.113.10 via 198.51.100.1",
		"prohibit 203.0.113.11",
		"default via 2001:db8:1::1", "2001:db8:2::/64 via 2001:db8:1::1", "2001:db8:2::9/128 via 2001:db8:1::1",
		"blackhole 2001:db8:2::8 metric 1", "unreachable 2001:db8:3::/64 proto 214",
	} {
		victim.Run(t, ip, append([]string{"route", "add"}, strings.Fields(route)...)...)
	}
	before := routes(t, ip)
	e := newNullroute(t, nullroute.Options{})
	for _, test := range []struct{ addr, note string }{
		{"203.0.113.7", ""}, {"203.0.113.8", ""}, {"203.0.113.9", ""},
		{"203.0.113.10", "not ours stays, behind ours"}, {"203.0.113.11", "not ours stays, behind ours"},
		{"2001:db8:2::7", ""}, {"2001:db8:2::9", ""}, {"2001:db8:2::8", "not ours blocks it already"},
		{attacker.V4.String(), ""}, {attacker.V6.String(), ""},
	} {
		for _, leased := range []bool{false, true} {
			addr := netip.MustParseAddr(test.addr)
			out, err := e.Block(t.Context(), target.Of(addr), enforcer.Known{Leased: leased})
			if err != nil {
				t.Errorf("Block(%s): %v", addr, err)
			}
			if notes := strings.Join(out.Notes, "\n"); !leased && (!strings.Contains(notes, test.note) || (test.note == "") != (notes == "")) {
				t.Errorf("Block(%s) notes %q, want %q", addr, notes, test.note)
			}
			if out, err := victim.Try(t, exec.Command(ip, "route", "get", test.addr)); err == nil {
				t.Errorf("%s still has a way: %s", addr, out)
			}
		}
	}
	if blocks := routesListed(t, e); len(blocks) != 9 {
		t.Errorf("List: %v", blocks)
	}
	for _, addr := range []string{"203.0.113.7", "203.0.113.10", "2001:db8:2::8", "203.0.113.0", "192.0.2.0", "0.0.0.0", "::", "2001:db8:2::"} {
		if err := e.Unblock(t.Context(), target.MustParse(addr)); err != nil {
			t.Errorf("Unblock(%s): %v", addr, err)
		}
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := routes(t, ip); after != before {
		t.Errorf("routes were\n%s\nand now are\n%s", before, after)
	}
}

func TestNullrouteTypeChanges(t *testing.T) {
	if !Isolated(t) {
		return
	}
	ip := Program(t, "ip")
	Hosts(t)
	before := routes(t, ip)
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")}
	for _, kind := range []string{nullroute.Blackhole, nullroute.Prohibit, nullroute.Unreachable} {
		e := newNullroute(t, nullroute.Options{Type: kind})
		for _, addr := range addrs {
			out, err := e.Block(t.Context(), target.Of(addr), enforcer.Unknown)
			if err != nil || len(out.Notes) > 0 {
				t.Errorf("Block(%s): %q, %v", addr, out.Notes, err)
			}
			got := routes(t, ip)
			if strings.Count(got, addr.String()+" ") != 1 || !strings.Contains(got, kind+" "+addr.String()+" ") {
				t.Errorf("want one route to %s, %s:\n%s", addr, kind, got)
			}
		}
	}
	if err := newNullroute(t, nullroute.Options{}).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := routes(t, ip); after != before {
		t.Errorf("routes were\n%s\nand now are\n%s", before, after)
	}
}

// TestNullrouteBlocksAllButOne: one of many has become an address of this host. All others
// are blocked, and the error names it.
func TestNullrouteBlocksAllButOne(t *testing.T) {
	for _, n := range []int{250, 3000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			var addrs []netip.Addr
			for i := range n {
				addrs = append(addrs, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}))
			}
			var here Host
			here.Run(t, Program(t, "ip"), "addr", "add", addrs[10].String()+"/32", "dev", "lo")
			e := newNullroute(t, nullroute.Options{})
			err := e.BlockAll(t.Context(), targets(addrs))
			if want := addrs[10].String() + ": it would have no effect: this is an address of this host"; err == nil || !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("BlockAll: %v, want only %q", err, want)
			}
			if blocks := routesListed(t, e); len(blocks) != n-1 {
				t.Errorf("%d are blocked, want %d", len(blocks), n-1)
			}
			// Not all that fail are named.
			for i := range 11 {
				here.Run(t, Program(t, "ip"), "addr", "add", addrs[n-1-i].String()+"/32", "dev", "lo")
			}
			must(t, e.Flush(t.Context()))
			err = e.BlockAll(t.Context(), targets(addrs))
			if err == nil || !strings.HasSuffix(err.Error(), "\nand 4 more") || strings.Count(err.Error(), "\n") != 8 {
				t.Errorf("BlockAll with twelve of this host: %v, want eight named", err)
			}
			if blocks := routesListed(t, e); len(blocks) != n-12 {
				t.Errorf("%d are blocked, want %d", len(blocks), n-12)
			}
		})
	}
}

// TestNullrouteEstablishedConnection: a TCP connection that stands, and so has
// its route looked up already, falls silent and comes back.
func TestNullrouteEstablishedConnection(t *testing.T) {
	if !Isolated(t) {
		return
	}
	attacker, victim := Hosts(t)
	for _, pair := range [][2]netip.Addr{{attacker.V4, victim.V4}, {attacker.V6, victim.V6}} {
		conn, err := attacker.Dial(t, victim.Echo(t, pair[1]), patience)
		if err != nil {
			t.Fatal(err)
		}
		if err := Answers(conn, "before", patience); err != nil {
			t.Fatalf("before: %v", err)
		}
		e := newNullroute(t, nullroute.Options{})
		if _, err := e.Block(t.Context(), target.Of(pair[0]), enforcer.Unknown); err != nil {
			t.Fatal(err)
		}
		if err := Answers(conn, "while blocked", time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("while %s is blocked: %v, want silence", pair[0], err)
		}
		if err := attacker.Ping(t, pair[1], 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ping while %s is blocked: %v, want silence", pair[0], err)
		}
		if _, err := attacker.Dial(t, victim.Echo(t, pair[1]), 300*time.Millisecond); err == nil {
			t.Errorf("%s gets a new connection while blocked", pair[0])
		}
		if err := e.Unblock(t.Context(), target.Of(pair[0])); err != nil {
			t.Fatal(err)
		}
		if err := Hears(conn, "while blocked", patience); err != nil { // TCP sends it again
			t.Errorf("after: %v", err)
		}
		if err := Answers(conn, "after", patience); err != nil {
			t.Errorf("after: %v", err)
		}
	}
}

// TestNullrouteProcessesAtOnce: 300 processes, let go at the same moment.
func TestNullrouteProcessesAtOnce(t *testing.T) {
	if !Isolated(t) {
		return
	}
	Hosts(t)
	gate, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const count = 300
	cmds, stderr := make([]*exec.Cmd, count), make([]bytes.Buffer, count)
	for i := range cmds {
		addr := fmt.Sprintf("203.0.%d.%d", 113+i/200, i%200)
		if i%3 == 0 {
			addr = fmt.Sprintf("2001:db8:2::%x", i)
		}
		cmds[i] = role("nullroute-block", addr)
		cmds[i].Stdin, cmds[i].Stderr = gate, &stderr[i]
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(open.Close(), gate.Close()); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v: %s", cmd.Args[1:], err, &stderr[i])
		}
	}
	e := newNullroute(t, nullroute.Options{})
	if blocks := routesListed(t, e); len(blocks) != count {
		t.Errorf("%d of %d routes stand", len(blocks), count)
	}
	if err := e.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if blocks := routesListed(t, e); len(blocks) > 0 {
		t.Errorf("%d routes are left over", len(blocks))
	}
}
