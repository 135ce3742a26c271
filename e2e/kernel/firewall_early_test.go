package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/firewall"
)

// backendsOfIPTables are those that Early moves.
var backendsOfIPTables = []string{firewall.IPTables, firewall.IPSet, firewall.Auto}

// TestFirewallEarly: packets, new connections and held ones are dropped before connections are tracked,
// whatever the filter table accepts. maintain keeps the jump first, and what another tool put before it is seen.
func TestFirewallEarly(t *testing.T) {
	for _, variant := range variants {
		for _, backend := range backendsOfIPTables {
			t.Run(variant+"/"+backend, func(t *testing.T) {
				if !Isolated(t) {
					return
				}
				needSets(t)
				bin := buildPrograms(t)
				configure(t, bin, "[firewall]\nearly = true\nmax_rules = 1\nbackend = \""+backend+"\"\n")
				bindTools(t, chooseVariant(t, variant))
				attacker, victim := Hosts(t)
				program := filepath.Join(bin, "firewall-drop.sh")
				respond(t, filepath.Join(home(bin), "bin/ossec-ar"), "prepare") // does nothing where nothing was blocked
				respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
				respond(t, program, "add", "-", "2001:db8:7::7", "1.1", "5712")
				shell(t, "iptables -I INPUT -j ACCEPT; ip6tables -I INPUT -j ACCEPT")
				stopsPackets(t, attacker, victim, program, func(from netip.Addr) {
					iptables := "iptables"
					if from.Is6() {
						iptables = "ip6tables"
					}
					if got := shell(t, iptables+" -S"); strings.Contains(got, "OSSEC_AR") {
						t.Errorf("in the filter table:\n%s", got)
					}
					if got := states(t, program)[from.String()]; got != "blocked" {
						t.Errorf("%s is %q, want blocked", from, got)
					}
					shell(t, iptables+" -t raw -I PREROUTING -j ACCEPT")
					if got := states(t, program)[from.String()]; !strings.Contains(got, "not in force") {
						t.Errorf("with a rule ahead %s is %q", from, got)
					}
					heals(t, program)
					if err := attacker.Ping(t, victim.of(from), silence); err == nil {
						t.Errorf("ping from %s gets through after maintain", from)
					}
				})
				if got := shell(t, "iptables -t raw -S PREROUTING"); strings.Count(got, "OSSEC_AR") != 1 {
					t.Errorf("the jumps are:\n%s", got)
				}
			})
		}
	}
}

// of returns the host's address of that one's family.
func (h *Host) of(family netip.Addr) netip.Addr {
	if family.Is6() {
		return h.V6
	}
	return h.V4
}

// TestFirewallEarlyMoves: Early is switched on and off. What is blocked is listed and lifted under the new
// setting, Mend moves it, no packet gets through meanwhile, and nothing of the old chain is left.
func TestFirewallEarlyMoves(t *testing.T) {
	for _, variant := range variants {
		for _, from := range backendsOfIPTables {
			for _, to := range []string{from, firewall.NFTables} {
				for _, early := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%s to %s/%t", variant, from, to, early), func(t *testing.T) {
						if !Isolated(t) {
							return
						}
						old, iptables := way{"", variant, from, 3}.on(t, func(o *firewall.Options) { o.Early = !early })
						next := newFirewall(t, filepath.Dir(iptables), func(o *firewall.Options) {
							o.Backend, o.MaxRules, o.Early = to, 3, early
						})
						attacker, victim := Hosts(t)
						through := floods(t, attacker, victim)
						must(t, old.BlockAll(t.Context(), targets([]netip.Addr{attacker.V4, attacker.V6})))
						isBlocked(t, "by the old", attacker, victim, true)
						through.Store(0)
						moves(t, old, next, attacker, victim)
						if n := through.Load(); n > 0 {
							t.Errorf("%d packets got through", n)
						}
						kept := to != firewall.NFTables
						for table, wanted := range map[string]bool{"raw": early && kept, "filter": !early && kept} {
							if got := shell(t, iptables+" -t "+table+" -S"); strings.Contains(got, "OSSEC_AR") != wanted {
								t.Errorf("in the table %s:\n%s", table, got)
							}
						}
					})
				}
			}
		}
	}
}

// floods sends packets from one host to another all the time, and counts those that get through. It returns
// when they do in both families.
func floods(t *testing.T, from, to *Host) (through *atomic.Int64) {
	t.Helper()
	through = new(atomic.Int64)
	var sockets sync.WaitGroup
	t.Cleanup(sockets.Wait)
	for _, addr := range []netip.Addr{to.V4, to.V6} {
		var in net.PacketConn
		var out net.Conn
		to.Do(t, func() (err error) {
			in, err = net.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
			return err
		})
		from.Do(t, func() (err error) {
			out, err = net.Dial("udp", in.LocalAddr().String())
			return err
		})
		first := make(chan struct{}, 1)
		sockets.Go(func() {
			for b := make([]byte, 8); ; {
				if _, _, err := in.ReadFrom(b); err != nil {
					return // closed
				}
				through.Add(1)
				select {
				case first <- struct{}{}:
				default:
				}
			}
		})
		sockets.Go(func() {
			each := time.NewTicker(100 * time.Microsecond)
			defer each.Stop()
			for range each.C {
				if _, err := out.Write([]byte("x")); errors.Is(err, net.ErrClosed) {
					return
				}
			}
		})
		t.Cleanup(func() { _ = errors.Join(in.Close(), out.Close()) })
		<-first
	}
	return through
}
