package check

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// enforcement looks at what is blocked, and at the leases.
type enforcement struct{ *host }

// inspect lets the enforcer look itself over.
func (h enforcement) inspect(ctx context.Context, s *sheet) {
	if h.subject.Failure != nil {
		s.fault("see active-response.toml above", "%v", h.subject.Failure)
		return
	}
	h.stock(ctx, s)
	if i, ok := h.subject.Hold.Enforcer.(Inspector); ok {
		s.add(i.Inspect(ctx, h.root)...)
		s.add(h.effect()...)
	} else if _, err := h.subject.Hold.Enforcer.List(ctx); err != nil {
		h.cannotList(s, err)
	}
	s.ok("what is blocked can be listed")
}

// stock looks for what the stock script has left: no delete of ours frees it.
func (h enforcement) stock(ctx context.Context, s *sheet) {
	stock, knows := h.subject.Hold.Enforcer.(enforcer.Stock)
	if !knows {
		return
	}
	if left, err := stock.Stock(ctx); err == nil && len(left) > 0 { // an error shows below, too
		s.warn(h.tool("adopt"), "the stock script has left blocked, and no delete frees: %s", list(left))
	}
}

// effect looks for what makes blocks have an effect on this host.
func (h enforcement) effect() []Finding {
	if h.subject.Hold.Kind.Effect == nil {
		return nil
	}
	f := Finding{What: "services", Verdict: enforcer.OK}
	works, text := h.subject.Hold.Kind.Effect(h.root)
	if f.Found = text; !works {
		f.Verdict = enforcer.Fault
		f.Mend = "let ossec.conf run another response in the place of " + h.subject.Hold.Kind.Name
	}
	return []Finding{f}
}

func (h enforcement) cannotList(s *sheet, err error) {
	mend := "see the message; " + h.tool("block --dry-run 192.0.2.1") + " shows the command that is used"
	switch {
	case errors.Is(err, exec.ErrNotFound):
		mend = "install it with the system's package manager"
	case h.user != 0:
		mend = "run it as root"
	}
	s.fault(mend, "what is blocked cannot be listed: %v", err)
}

// minRoom is how much room the state needs, in bytes.
const minRoom = 1 << 20

// leases looks at the state folder, and for what differs between leases and host.
func (h enforcement) leases(ctx context.Context, s *sheet) {
	dir, inHome := h.Home.State(), filepath.Join(string(h.Home), "var/active-response")
	if _, err := os.Lstat(inHome); err == nil && dir != inHome {
		s.warn("see what it holds, then rm -r "+inHome, "%s is not used: others than root can write in the folder "+
			"above, or could; the leases are in %s", inHome, dir)
	}
	there, lerr := os.Lstat(dir)
	switch err := state.CheckDir(dir); {
	case errors.Is(err, os.ErrNotExist):
		if err := writable(existing(dir)); err != nil {
			s.fault(h.writing(existing(dir), err), "%s cannot be made: %v", dir, err)
		}
		s.ok("none yet: the first block makes %s", dir)
		return
	case lerr == nil && !there.IsDir():
		s.fault("mv "+dir+" "+dir+".old", "%v", err)
		return
	case err != nil:
		s.fault("chown root "+dir+" && chmod 0700 "+dir, "%v", err)
		return
	}
	if err := state.Trusted(dir); err != nil {
		s.fault("allow only root to write there (chown root, chmod go-w)", "%v: who can take %s away makes what is "+
			"blocked forgotten", err, dir)
	}
	if err := writable(dir); err != nil {
		s.fault(h.writing(dir, err), "%s: %v: leases cannot be written", dir, err)
	}
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err == nil && room.Bavail*uint64(room.Bsize) < minRoom {
		s.fault("make room on that disk", "the disk of %s is full: leases cannot be written", dir)
	}
	if h.subject.Hold == nil {
		return
	}
	damaged, _ := filepath.Glob(h.subject.Hold.Leases.Path() + ".damaged*") // the pattern is well-formed
	for _, path := range damaged {
		s.warn("see what it holds, then rm "+path,
			"%s was damaged and moved aside: who held what then is not known", path)
	}
	h.drift(ctx, s)
	s.ok("what is to be blocked and what is in force agree")
}

// drift looks for what differs between leases and what is in force. What a response in a file has
// no lease for is the administrator's.
func (h enforcement) drift(ctx context.Context, s *sheet) {
	if _, err := h.subject.Hold.Leases.All(); err != nil {
		mend := h.tool("maintain")
		if errors.Is(err, state.ErrForeign) {
			mend = "find out who could write there, then chown -R root " + h.Home.State()
		}
		s.fault(mend, "%v", err)
		return
	}
	d, err := h.subject.Hold.Compare(ctx, func(target.Target) (string, bool) { return "", false })
	if err != nil {
		h.cannotList(s, err)
		return
	}
	repair := h.tool("repair")
	for _, f := range d.Place {
		s.fault(repair, "%s", f)
	}
	if len(d.Missing) > 0 {
		s.fault(repair, "should be blocked and is not in force: %s", list(d.Missing))
	}
	if len(d.Extra) > 0 {
		s.warn(repair, "blocked and nothing asks for it: %s", list(d.Extra))
	}
}

// list writes addresses or targets, in order.
func list[T interface {
	Compare(T) int
	String() string
}](all []T) string {
	var texts []string
	for _, one := range slices.SortedFunc(slices.Values(all), T.Compare) {
		texts = append(texts, one.String())
	}
	return some(texts)
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
