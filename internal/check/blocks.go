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
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// enforcement looks at what is blocked, and at the leases.
type enforcement struct{ *host }

// inspect lets the enforcer look itself over.
func (h enforcement) inspect(ctx context.Context) []Finding {
	if h.subject.Failure != nil {
		return []Finding{fault("see active-response.toml above", "%v", h.subject.Failure)}
	}
	if i, ok := h.subject.Hold.Enforcer.(Inspector); ok {
		return append(i.Inspect(ctx, h.root), h.effect()...)
	}
	if _, err := h.subject.Hold.Enforcer.List(ctx); err != nil {
		return []Finding{h.cannotList(err)}
	}
	return []Finding{ok("what is blocked can be listed")}
}

// effect looks for what makes blocks have an effect on this host.
func (h enforcement) effect() []Finding {
	if h.subject.Hold.Kind.Effect == nil {
		return nil
	}
	works, text := h.subject.Hold.Kind.Effect(h.root)
	if works {
		return []Finding{{What: "services", Verdict: enforcer.OK, Found: text}}
	}
	return []Finding{{What: "services", Verdict: enforcer.Fault, Found: text,
		Mend: "let ossec.conf run another response in the place of " + h.subject.Hold.Kind.Name}}
}

func (h enforcement) cannotList(err error) Finding {
	mend := "see the message; " + h.Name + " block --dry-run 192.0.2.1 shows the command that is used"
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
func (h enforcement) leases(ctx context.Context) []Finding {
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
	var found findings
	if err := writable(dir); err != nil {
		found.fault("see the message", "%s: %v: leases cannot be written", dir, err)
	}
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err == nil && room.Bavail*uint64(room.Bsize) < minRoom {
		found.fault("make room on that disk", "the disk of %s is full: leases cannot be written", dir)
	}
	if h.subject.Hold == nil {
		return found
	}
	damaged, _ := filepath.Glob(h.subject.Hold.Leases.Path() + ".damaged*") // the pattern is well-formed
	for _, path := range damaged {
		found.warn("see what it holds, then rm "+path,
			"%s was damaged and moved aside: who held what then is not known", path)
	}
	return orOK(append(found, h.drift(ctx)...), "what is leased and what is in force agree")
}

// drift looks for what differs between leases and what is in force. What a response in a file has
// no lease for is the administrator's.
func (h enforcement) drift(ctx context.Context) []Finding {
	if _, err := h.subject.Hold.All(); err != nil {
		return []Finding{fault(h.Name+" maintain", "%v", err)}
	}
	d, err := h.subject.Hold.Compare(ctx, func(netip.Addr) (string, bool) { return "", false })
	if err != nil {
		return []Finding{h.cannotList(err)}
	}
	var found findings
	repair := h.Name + " repair"
	for _, f := range d.Place {
		found.fault(repair, "%s", f)
	}
	if len(d.Missing) > 0 {
		found.fault(repair, "leased but not in force: %s", some(texts(d.Missing)))
	}
	if len(d.Extra) > 0 {
		found.warn(repair, "blocked but leased by nobody: %s", some(texts(d.Extra)))
	}
	return found
}

func texts(addrs []netip.Addr) []string {
	slices.SortFunc(addrs, netip.Addr.Compare)
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
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
