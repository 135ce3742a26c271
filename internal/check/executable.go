package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// executables looks at the files that are run.
type executables struct{ *host }

// all looks at the files that execd is to run.
func (h executables) all(context.Context) []Finding {
	if h.subject.FromCron {
		path := h.file(h.subject)
		return orOK(h.runnable(path), "%s is as it should be", path)
	}
	var found []Finding
	names := h.wanted()
	for _, name := range names {
		found = append(found, h.executable(name)...)
	}
	found = append(found, h.programFolder()...)
	found = append(found, h.newer(names)...)
	return orOK(found, "as they should be: %s", some(names))
}

// file is where a subject is installed.
func (h *host) file(s *Subject) string {
	return cmp.Or(s.Path, filepath.Join(h.Home.Programs(), s.Name))
}

// wanted returns the executables that are configured or listed: this response's own, and
// of others those that an <active-response> uses.
func (h executables) wanted() []string {
	names := []string{h.subject.Name}
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, c := range h.conf.all("command") {
		if name := c.text("executable"); h.own(name) || len(h.conf.users(c.text("name"))) > 0 {
			add(name)
		}
	}
	list, _ := ossec.ReadResponseList(h.Home.ResponseList()) // responseList reports what is wrong with it
	for _, r := range list {
		if h.own(r.Executable) {
			add(r.Executable)
		}
	}
	return names
}

// suite is all that install.sh installs.
var suite = []string{"firewall-drop", "host-deny", "route-null", "email-notification", "response-stats"}

// executable looks at one file that execd is to run. One of another response has to be there, no
// more.
func (h executables) executable(name string) []Finding {
	path := filepath.Join(h.Home.Programs(), name)
	if strings.Contains(name, "/") {
		return []Finding{fault("write the name alone, and put the file into "+h.Home.Programs(),
			"<executable> %s has a slash in it: execd looks in %s only", quote(name), h.Home.Programs())}
	}
	info, err := os.Stat(path)
	if !h.own(name) && err == nil {
		return nil
	}
	if ours := h.own(name) || slices.ContainsFunc(suite,
		func(of string) bool { return strings.Contains(name, of) }); !ours && errors.Is(err, os.ErrNotExist) {
		return []Finding{fault("put it there, or correct <executable> in "+h.conf.path,
			"%s is not there", path)}
	}
	found := findings(h.runnable(path))
	mine, merr := os.Stat(h.file(h.subject))
	if err == nil && merr == nil && !os.SameFile(mine, info) {
		found.warn(h.reinstall(),
			"%s is another program than %s: an upgrade of OSSEC or Wazuh may have put its own there", path,
			h.subject.Name)
	}
	return found
}

func (h *host) reinstall() string { return "./install.sh --home " + string(h.Home) }

// runnable checks whether a file of ours can be run, and by whom it could be changed.
func (h executables) runnable(path string) []Finding {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return []Finding{fault(h.reinstall(), "%s is not there", path)}
	case err != nil:
		return []Finding{fault(h.reinstall(), "%v", err)}
	case !info.Mode().IsRegular():
		return []Finding{fault(h.reinstall(), "%s is no plain file", path)}
	}
	var found findings
	mode := info.Mode().Perm()
	if mode&0o111 == 0 {
		found.fault("chmod 0755 "+path, "%s is not executable (mode %04o)", path, mode)
	}
	if mode&0o022 != 0 {
		found.fault("chmod 0755 "+path,
			"%s can be written to by others than its owner (mode %04o), who could so become root", path, mode)
	}
	return append(found, h.owned(path, info)...)
}

// owned looks at owner and group.
func (h executables) owned(path string, info fs.FileInfo) []Finding {
	stat := info.Sys().(*syscall.Stat_t)
	name, group, known := h.group()
	known = known && filepath.Dir(path) == h.Home.Programs() // the daemons run nothing else
	switch {
	case int(stat.Uid) != h.owner && known:
		return []Finding{fault(fmt.Sprintf("chown root:%s %s", name, path),
			"%s belongs to user %d, who could so become root", path, stat.Uid)}
	case int(stat.Uid) != h.owner:
		return []Finding{fault("chown root "+path,
			"%s belongs to user %d, who could so become root", path, stat.Uid)}
	case known && int(stat.Gid) != group:
		return []Finding{warn(fmt.Sprintf("chown root:%s %s", name, path),
			"%s is of group %d, not %s", path, stat.Gid, name)}
	}
	return nil
}

// programFolder looks at who may put other files in the place of ours.
func (h executables) programFolder() []Finding {
	dir := h.Home.Programs()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o002 == 0 {
		return nil // a missing one was reported with its files
	}
	return []Finding{fault("chmod o-w "+dir,
		"%s can be written to by everybody, who could so become root", dir)}
}

// newer looks for files that execd may not know because they came after it. That one has
// been called before shows in the log: then it was replaced, which does no harm.
func (h executables) newer(names []string) []Finding {
	execd := h.processes().execd()
	if execd == nil || execd.started.IsZero() {
		return nil
	}
	var found findings
	for _, name := range names {
		path := filepath.Join(h.Home.Programs(), name)
		changed, ok := lastChange(path)
		if !ok || !changed.After(execd.started.Add(time.Second)) || !h.own(name) { // btime is in seconds
			continue
		}
		times := fmt.Sprintf("%s changed on %s, %s runs since %s", path, stamp(changed),
			execd.Name, stamp(execd.started))
		if logs(h).logged(path) {
			found.warn(h.control("restart"),
				"%s; it has been called before, so that this does no harm as a rule", times)
		} else {
			found.fault(h.control("restart"),
				"%s: if the file is new, the daemon does not see it before it is restarted", times)
		}
	}
	return found
}

func stamp(t time.Time) string { return t.Format(time.DateTime) }

// lastChange returns when the file, or the link that leads to it, was last written,
// moved or changed.
func lastChange(path string) (time.Time, bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}, false
	}
	stat := info.Sys().(*syscall.Stat_t)
	last := info.ModTime()
	if changed := time.Unix(stat.Ctim.Unix()); changed.After(last) {
		last = changed
	}
	return last, true
}

// writable reports whether this process may write to a file or folder.
func writable(path string) error { return unix.Access(path, unix.W_OK) }
