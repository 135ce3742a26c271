package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// The statuses of iptables (1.8.9): it cannot begin to work in its table; it lacks a right, or
// the lock.
const (
	statusNoTable = 3
	statusDenied  = 4
)

// lockFile is what iptables of the legacy kind locks, before all else.
const lockFile = "/run/xtables.lock"

// otherLock returns the file to lock in its place, beside ours, where a read-only /run lacks
// it; "" elsewhere. Those who cannot lock the one cannot change rules at the same moment.
func (h *host) otherLock() string {
	if h.opts.LockPath == "" || h.variant == overNFT {
		return ""
	}
	if _, err := os.Stat(lockFile); err == nil || unix.Access(filepath.Dir(lockFile), unix.W_OK) == nil {
		return ""
	}
	return filepath.Join(filepath.Dir(h.opts.LockPath), filepath.Base(lockFile))
}

// fallBack reports whether err says that iptables, chosen by Auto, cannot work on this kernel, and
// another way can, which is used from now on: our own table where legacy's is not there, or where nft(8)
// made rules in iptables' own, legacy where nf_tables is not there.
func (s *side) fallBack(ctx context.Context, err error) bool {
	if err == nil || s.opts.Backend != Auto || s.instead != nil || s.program == "" || ctx.Err() != nil {
		return false
	}
	k, dialErr := s.kernel.dial(ctx)
	if dialErr != nil {
		return false
	}
	_, nftErr := ourTable.one(k, unix.NFT_MSG_GETTABLE, 0, "")
	hasNFT := nftErr == nil && knowsTables(k)
	_, mend := s.cause(err)
	switch {
	case s.variant == legacy && exec.Status(err) == statusNoTable && hasNFT:
		s.used, s.left = table{s}, nil
	case errors.Is(err, errUnreadable) && hasNFT:
		s.used, s.left = table{s}, nil
		if s.mayHaveChain(ctx, overNFT) { // made before those rules
			s.left = []backend{rules{s}, set{s}}
		}
	case s.variant == overNFT && !hasNFT && nftErr == nil:
		other, findErr := findTool(familyName(s.v6, "-legacy"), s.opts.ToolDirs)
		if findErr != nil {
			return false
		}
		s.tool, s.listed, s.sought, s.former = other, nil, false, nil
	default:
		return false
	}
	s.instead, s.insteadMend = err, mend
	return true
}

// knowsTables reports whether the kernel has nf_tables.
func knowsTables(k socket) bool {
	answers, err := k.Ask(ourTable.request(unix.NFT_MSG_GETGEN, 0, nil))
	return err == nil && !errors.Is(answers[0].Err, unix.EINVAL)
}

// cause returns what is behind an error, "" when it says so itself, and what mends it.
func (h *host) cause(err error) (cause, mend string) {
	switch denied := exec.Status(err) == statusDenied || errors.Is(err, unix.EPERM); {
	case errors.Is(err, enforcer.ErrFull):
		return "", "raise max_addresses in [firewall] of etc/active-response.toml"
	case errors.Is(err, errForeign):
		return "", "rename or delete it"
	case errors.Is(err, exec.ErrNotFound):
		return "", "install iptables with the system's package manager"
	case errors.Is(err, errNoSets):
		return "", h.load("ip_set_hash_ip", "ip_set_hash_net", "xt_set")
	case errors.Is(err, errUnreadable):
		return "", "have nft make its rules in a table of another name than " + h.table +
			", or set backend = \"nftables\" in [firewall] of etc/active-response.toml"
	case errors.Is(err, errMixed):
		return "", "update-alternatives --config iptables; update-alternatives --config ip6tables"
	case os.Geteuid() != 0:
		return "", "run it as root"
	case !h.capable(unix.CAP_NET_ADMIN):
		return "this process lacks the capability NET_ADMIN",
			"give it to the container (--cap-add NET_ADMIN), or block on its host; host-deny needs none"
	case denied && errors.Is(err, unix.EPERM):
		return "the network belongs to another user namespace",
			"block on the host of this container; host-deny needs no right of that kind"
	case denied && h.otherLock() == "" && h.variant != overNFT:
		return "", "fuser -v " + lockFile + " (who holds the lock)"
	case h.variant == overNFT || h.program == "":
		return "", h.load("nf_tables", "nft_compat")
	}
	return "", h.load(strings.TrimSuffix(familyName(h.v6, ""), "s") + "_" + h.table) // as ip6table_filter
}

// load returns how kernel modules are loaded here.
func (h *host) load(modules ...string) string {
	names := strings.Join(modules, " ")
	if !h.capable(unix.CAP_SYS_MODULE) {
		return "on the host of this container: modprobe -a " + names +
			" (and name them in /etc/modules-load.d there)"
	}
	var system unix.Utsname
	if err := unix.Uname(&system); err == nil {
		release := unix.ByteSliceToString(system.Release[:])
		if _, err := os.Stat("/lib/modules/" + release); errors.Is(err, os.ErrNotExist) {
			return fmt.Sprintf("reboot, if the kernel was updated: %s, which runs, has no modules in "+
				"/lib/modules; else use host-deny", release)
		}
	}
	return "modprobe -a " + names
}

// capable reports whether this process has a capability; when that cannot be found out, it has.
func (h *host) capable(capability int) bool {
	const most = 64 << 10
	text, err := state.Read(filepath.Join(h.opts.Proc, "self/status"), most)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		if digits, is := strings.CutPrefix(line, "CapEff:"); is {
			set, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
			return err != nil || set&(1<<capability) != 0
		}
	}
	return true
}
