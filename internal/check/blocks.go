package check

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// inspect lets the enforcer look itself over.
func (h *host) inspect(ctx context.Context) []Finding {
	if h.subject.Failure != nil {
		return []Finding{fault("see active-response.toml above", "%v", h.subject.Failure)}
	}
	if i, ok := h.subject.Enforcer.(Inspector); ok {
		return i.Inspect(ctx, h.root)
	}
	if _, err := h.subject.Enforcer.List(ctx); err != nil {
		return []Finding{h.cannotList(err)}
	}
	return []Finding{ok("what is blocked can be listed")}
}

func (h *host) cannotList(err error) Finding {
	mend := "see the message; " + h.Path() + " --dry-run add 192.0.2.1 shows the command that is used"
	switch {
	case errors.Is(err, exec.ErrNotFound):
		mend = "install it with the system's package manager"
	case h.user != 0:
		mend = "run it as root"
	}
	return fault(mend, "what is blocked cannot be listed: %v", err)
}

// minRoom is how much room the state needs, in bytes.
const minRoom = 1 << 20

// leases looks at the state folder, and for what differs between leases and host.
func (h *host) leases(ctx context.Context) []Finding {
	dir := h.Home.State()
	err := state.CheckDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := writable(existing(dir)); err != nil {
			return []Finding{fault("see the message", "%s cannot be made: %v", dir, err)}
		}
		return []Finding{ok("none yet: the first block makes %s", dir)}
	case err != nil:
		return []Finding{fault("chown root "+dir+" && chmod 0700 "+dir, "%v", err)}
	}
	var found []Finding
	if err := writable(dir); err != nil {
		found = append(found, fault("see the message", "%s: %v: leases cannot be written", dir, err))
	}
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err == nil && room.Bavail*uint64(room.Bsize) < minRoom {
		found = append(found, fault("make room on that disk", "the disk of %s is full: leases cannot be written", dir))
	}
	damaged, _ := filepath.Glob(h.subject.Store.Path() + ".damaged*") // the pattern is well-formed
	for _, path := range damaged {
		found = append(found, warn("see what it holds, then rm "+path, "%s was damaged and moved aside: who held what then is not known", path))
	}
	all, err := h.subject.Store.All()
	if err != nil {
		return append(found, fault(h.Path()+" restore", "%v", err))
	}
	if h.subject.Enforcer == nil {
		return found
	}
	blocks, err := h.subject.Enforcer.List(ctx)
	if err != nil {
		return append(found, h.cannotList(err))
	}
	found = append(found, h.drift(all, blocks)...)
	return orOK(found, "%s, %s, and they agree", count(len(all), "lease"), count(len(blocks), "blocked address"))
}

// drift compares leases and blocks. What a response with lasting blocks has no lease for
// is the administrator's.
func (h *host) drift(leases []lease.Lease, blocks []enforcer.Block) []Finding {
	held := map[netip.Addr]bool{} // false: given back, but it could not be lifted
	for _, l := range leases {
		held[l.Addr] = held[l.Addr] || !l.Lifting
	}
	var missing, unheld []string
	inForce := map[netip.Addr]bool{}
	for _, b := range blocks {
		inForce[b.Addr] = inForce[b.Addr] || b.Idle == ""
		if wanted, leased := held[b.Addr]; leased && !wanted || !leased && !h.subject.Lasting {
			unheld = append(unheld, b.Addr.String())
		}
	}
	for addr, wanted := range held {
		if wanted && !inForce[addr] {
			missing = append(missing, addr.String())
		}
	}
	slices.Sort(missing)
	slices.Sort(unheld)
	var found []Finding
	if len(missing) > 0 {
		found = append(found, fault(h.Path()+" restore", "leased but not blocked: %s", some(missing)))
	}
	if len(unheld) > 0 {
		found = append(found, warn(h.Path()+" reconcile --repair", "blocked but held by nobody: %s", some(unheld)))
	}
	return found
}

// existing returns the nearest folder above that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
