package kernel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// patience bounds whatever is expected to happen; tests do not wait it out.
const patience = time.Minute

// Host is one end of the wire between two hosts: a network namespace.
type Host struct {
	Name   string
	V4, V6 netip.Addr
	space  *os.File // nil: that of the process itself
}

// Hosts joins two hosts by a veth pair: 198.51.100.1 and .2, 2001:db8:1::1 and
// ::2. The victim is the process itself, so enforcers and real programs need
// nothing special; the attacker is reached through the methods of Host. The test
// must be Isolated.
func Hosts(t *testing.T) (attacker, victim *Host) {
	t.Helper()
	attacker, victim, err := makeHosts()
	if err != nil {
		needKernel(t, err.Error())
	}
	t.Cleanup(func() { _ = attacker.space.Close() })
	return attacker, victim
}

func makeHosts() (attacker, victim *Host, err error) {
	attacker = &Host{Name: "attacker", V4: netip.MustParseAddr("198.51.100.1"), V6: netip.MustParseAddr("2001:db8:1::1")}
	victim = &Host{Name: "victim", V4: netip.MustParseAddr("198.51.100.2"), V6: netip.MustParseAddr("2001:db8:1::2")}
	if attacker.space, err = newSpace(); err != nil {
		return nil, nil, fmt.Errorf("making the attacker's network: %w", err)
	}
	veth := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0",
		PeerNamespace: netlink.NsFd(int(attacker.space.Fd())),
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("making the veth pair: %w", err)
	}
	for _, host := range []*Host{victim, attacker} {
		if err := host.in(host.configure); err != nil {
			return nil, nil, fmt.Errorf("setting up the %s: %w", host.Name, err)
		}
	}
	for _, host := range []*Host{victim, attacker} {
		if err := host.in(host.ready); err != nil {
			return nil, nil, fmt.Errorf("waiting for the %s's link: %w", host.Name, err)
		}
	}
	return attacker, victim, nil
}

// ready waits until the link carries packets, which the kernel finds out in its own time: only then
// are routes without "linkdown" and the IPv6 address the host's own.
func (h *Host) ready() error {
	links, routes := make(chan netlink.LinkUpdate, 64), make(chan netlink.RouteUpdate, 64)
	done := make(chan struct{})
	defer close(done)
	if err := errors.Join(netlink.LinkSubscribe(links, done), netlink.RouteSubscribe(routes, done)); err != nil {
		return err
	}
	for late := time.After(patience); ; {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		way, err := netlink.RouteGet(h.V6.AsSlice())
		if err == nil && len(way) > 0 && way[0].Type == unix.RTN_LOCAL && link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		select {
		case <-links:
		case <-routes:
		case <-late:
			return fmt.Errorf("it is %s; the way to %s: %v, %w", link.Attrs().OperState, h.V6, way, err)
		}
	}
}

// newSpace makes a network namespace that lasts as long as the file is open.
func newSpace() (space *os.File, err error) {
	onThreadOfItsOwn(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			space, err = os.Open("/proc/thread-self/ns/net")
		}
	})
	return space, err
}

// configure gives the host's interface its addresses, without the wait for
// duplicate address detection.
func (h *Host) configure() error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	// Some hosts switch IPv6 off by default for new interfaces.
	err = os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("0"), 0)
	if err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	for _, addr := range []netip.Prefix{netip.PrefixFrom(h.V4, 24), netip.PrefixFrom(h.V6, 64)} {
		ip := &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ip, Flags: unix.IFA_F_NODAD}); err != nil {
			return fmt.Errorf("adding %s: %w", addr, err)
		}
	}
	return errors.Join(netlink.LinkSetUp(link), isolate.LoopbackUp())
}

// onThreadOfItsOwn runs f on a thread that ends with it, so that f may move the
// thread to another namespace.
func onThreadOfItsOwn(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		f()
	}()
	<-done
}

// in runs f with the host's network. Sockets that f opens and programs that it
// starts stay there; goroutines that it starts do not.
func (h *Host) in(f func() error) (err error) {
	if h.space == nil {
		return f()
	}
	onThreadOfItsOwn(func() {
		if err = unix.Setns(int(h.space.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	return err
}

// Do is in for a test: what f returns fails it.
func (h *Host) Do(t *testing.T, f func() error) {
	t.Helper()
	if err := h.in(f); err != nil {
		t.Fatalf("on the %s: %v", h.Name, err)
	}
}

// Run runs a program on the host and returns its output; failing fails the test.
func (h *Host) Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := h.Try(t, exec.Command(name, args...))
	if err != nil {
		t.Fatalf("on the %s: %s %q: %v\n%s", h.Name, name, args, err, out)
	}
	return out
}

// Try runs cmd on the host and returns its output and how it ended.
func (h *Host) Try(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	var out []byte
	err := h.in(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	return string(out), err
}

// Program returns where an optional program is, or ends the test.
func Program(t *testing.T, name string) string {
	t.Helper()
	for _, folder := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if _, err := os.Stat(folder + "/" + name); err == nil {
			return folder + "/" + name
		}
	}
	needKernel(t, name+" is not installed")
	return ""
}

// Echo starts a TCP server on the host that sends back what it gets, until the
// test ends, and returns its address.
func (h *Host) Echo(t *testing.T, addr netip.Addr) netip.AddrPort {
	t.Helper()
	var listener net.Listener
	h.Do(t, func() (err error) {
		listener, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			t.Cleanup(func() { _ = conn.Close() })
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// Dial connects from the host, waiting no longer than wait.
func (h *Host) Dial(t *testing.T, to netip.AddrPort, wait time.Duration) (net.Conn, error) {
	t.Helper()
	var conn net.Conn
	err := h.in(func() (err error) {
		conn, err = net.DialTimeout("tcp", to.String(), wait)
		return err
	})
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// Answers sends a word through a connection to an Echo server and reports whether
// it comes back within wait.
func Answers(conn net.Conn, word string, wait time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return err
	}
	return Hears(conn, word, wait)
}

// Hears waits for a word that was sent before.
func Hears(conn net.Conn, word string, wait time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != word {
		return fmt.Errorf("got %q back, sent %q", got, word)
	}
	return nil
}
