// Package blockfile blocks addresses for whoever reads them from a file: an empty file for each
// address in a folder, as the stock ip-customblock has it, or a line for each in a list that a web
// server or a proxy includes, which is then told to read it again. Both are enforcer.Enforcers. What
// the reader does with an address is the administrator's affair; a folder or list that others than
// root can change is refused.
package blockfile

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// Kind is ip-customblock.
var Kind = enforcer.Kind{
	Name:    "ip-customblock",
	Summary: "list attackers in a file, for a web server or a proxy that reads it",
	InFile:  true,
	New: func(c config.Config, stateDir string) (enforcer.Enforcer, error) {
		if c.Blockfile.Fault != nil {
			return nil, c.Blockfile.Fault
		}
		if c.Blockfile.File == "" {
			return Folder(c.Blockfile.Folder), nil
		}
		return newList(c.Blockfile, stateDir, c.Lease.LockTimeout.Duration), nil
	},
	Hint: linefile.Hint,
}

// trusted returns an error for what others than root can change: they could have another file edited.
func trusted(path string) error {
	if err := state.Trusted(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// parse reads a target in the one spelling that is written here. A network of IPv4 is no target.
func parse(text string) (target.Target, bool) {
	var t target.Target
	network, err := netip.ParsePrefix(text)
	if err == nil && network.Addr().Is6() && slices.Contains(config.NetworkBits, network.Bits()) {
		t = target.Network(network)
	} else if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		t = target.Of(addr.Unmap())
	}
	return t, t.IsValid() && t.String() == text
}

// found returns the finding about what was inspected: a fault with err, else ok.
func found(what, ok, mend string, err error) []enforcer.Finding {
	if err != nil {
		return []enforcer.Finding{{What: what, Verdict: enforcer.Fault, Found: err.Error(), Mend: mend}}
	}
	return []enforcer.Finding{{What: what, Verdict: enforcer.OK, Found: ok}}
}

// addresses returns "1 address" or "n addresses".
func addresses(n int) string { return printable.Count(n, "address") }
