package app

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// maxAncestors bounds how far the session is looked for that the program was typed in.
const maxAncestors = 64

// SSHSessions returns the addresses that SSH sessions of this host come from, and what to call each.
// Who blocks one of them by hand cuts himself off, or another administrator.
func (p *Program) SSHSessions() map[netip.Addr]string {
	sessions := map[netip.Addr]string{}
	p.openSessions(sessions)
	connection, pid := p.SSHConnection, p.ParentPID
	for range maxAncestors { // sudo passes SSH_CONNECTION to nobody
		if peer, _, ok := ends(connection); ok {
			sessions[peer.Addr()] = "your SSH session"
			break
		}
		if pid <= 1 {
			break
		}
		connection, pid = ancestor(filepath.Join(p.Proc, strconv.Itoa(pid)))
	}
	return sessions
}

// openSessions adds those sessions in which a process runs and whose connection is open. A process
// may outlive its session, and somebody who has not logged in yet has no process.
func (p *Program) openSessions(sessions map[netip.Addr]string) {
	const most = 16 << 20 // bytes
	v4, _ := state.Read(filepath.Join(p.Proc, "net/tcp"), most)
	v6, _ := state.Read(filepath.Join(p.Proc, "net/tcp6"), most)
	connections := string(v4) + string(v6) // without them none is open
	processes, _ := os.ReadDir(p.Proc)
	for _, process := range processes {
		if _, err := strconv.Atoi(process.Name()); err != nil {
			continue
		}
		connection, _ := ancestor(filepath.Join(p.Proc, process.Name()))
		peer, local, ok := ends(connection)
		if !ok {
			continue
		}
		for _, mapped := range []bool{false, true} { // sshd may listen to both families at once
			if strings.Contains(connections, tcpEnd(local, mapped)+" "+tcpEnd(peer, mapped)+" 01 ") {
				sessions[peer.Addr()] = "an SSH session that is open"
			}
		}
	}
}

// ends reads $SSH_CONNECTION: address and port of the peer, then of this host.
func ends(connection string) (peer, local netip.AddrPort, ok bool) {
	words := strings.Fields(connection)
	if len(words) != 4 {
		return peer, local, false
	}
	end := func(address, port string) netip.AddrPort {
		addr, addrErr := netip.ParseAddr(address)
		n, err := strconv.ParseUint(port, 10, 16)
		ok = ok && err == nil && addrErr == nil
		return netip.AddrPortFrom(addr.Unmap().WithZone(""), uint16(n))
	}
	ok = true
	return end(words[0], words[1]), end(words[2], words[3]), ok
}

// tcpEnd writes one end of a connection as /proc/net/tcp and tcp6 do, proc_pid_net(5): words of 32
// bits in this host's order of bytes.
func tcpEnd(end netip.AddrPort, mapped bool) string {
	bytes := end.Addr().AsSlice()
	if mapped {
		all := end.Addr().As16()
		bytes = all[:]
	}
	var b strings.Builder
	for ; len(bytes) > 0; bytes = bytes[4:] {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(bytes))
	}
	return fmt.Sprintf("%s:%04X", b.String(), end.Port())
}

// ancestor returns SSH_CONNECTION of a process and its parent; 0 where that cannot be read.
func ancestor(dir string) (connection string, parent int) {
	const most = 1 << 20
	environment, _ := state.Read(filepath.Join(dir, "environ"), most) // as good as empty
	for variable := range strings.SplitSeq(string(environment), "\x00") {
		if value, ok := strings.CutPrefix(variable, "SSH_CONNECTION="); ok {
			connection = value
		}
	}
	stat, _ := state.Read(filepath.Join(dir, "stat"), most)
	_, rest, _ := strings.Cut(string(stat[max(0, strings.LastIndexByte(string(stat), ')')):]), ")")
	var status string
	if _, err := fmt.Sscan(rest, &status, &parent); err != nil {
		parent = 0
	}
	return connection, parent
}
