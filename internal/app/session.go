package app

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// maxAncestors bounds how far SSHPeer looks.
const maxAncestors = 64

// SSHPeer returns the address that the SSH session comes from which the program was typed in. It
// is looked for in the environments of the processes above, too, because sudo passes
// SSH_CONNECTION to nobody.
func (p *Program) SSHPeer() (netip.Addr, bool) {
	connection, pid := p.SSHConnection, p.ParentPID
	for range maxAncestors {
		if peer, _, _ := strings.Cut(connection, " "); peer != "" {
			addr, err := netip.ParseAddr(peer)
			return addr.Unmap().WithZone(""), err == nil
		}
		if pid <= 1 {
			break
		}
		connection, pid = ancestor(filepath.Join(p.Proc, fmt.Sprint(pid)))
	}
	return netip.Addr{}, false
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
