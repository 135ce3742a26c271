package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
func (h executables) all(_ context.Context, s *sheet) {
	names := h.wanted()
	for _, name := range names {
		h.executable(s, name)
	}
	dir := h.Home.Programs() // a missing one was reported with its files
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o002 != 0 {
		s.fault("chmod o-w "+dir, "%s can be written to by everybody, who could so become root", dir)
	}
	h.newer(s, names)
	s.ok("as they should be: %s", some(names))
}

// fromCron looks at a file that cron is to run.
func (h executables) fromCron(_ context.Context, s *sheet) {
	path := h.file(h.subject)
	h.runnable(s, path)
	s.ok("%s is as it should be", path)
}

// file is where a subject is installed.
func (h *host) file(s *Subject) string {
	return cmp.Or(s.Path, filepath.Join(h.Home.Programs(), s.Name))
}

// wanted returns the executables that are configured or listed: this response's own, and
// of others those that an <active-response> uses.
func (h executables) wanted() []string {
	names := []string{h.subject.Name}
	for _, c := range h.conf.all("command") {
		name := c.text("executable")
		if name != "" && !onWindows(name) && (h.own(name) || len(h.conf.users(c.text("name"))) > 0) {
			names = append(names, name)
		}
	}
	list, _ := ossec.ReadResponseList(h.Home.ResponseList()) // responseList reports what is wrong with it
	for _, r := range list {
		if h.own(r.Executable) {
			names = append(names, r.Executable)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// suite is all that install.sh installs.
var suite = []string{"firewall-drop", "host-deny", "route-null", "disable-account", "unban", "allow",
	"ip-customblock", "email-notification", "chat-notification", "response-stats"}

// executable looks at one file that execd is to run. One of another response has to be there, no
// more.
func (h executables) executable(s *sheet, name string) {
	path := filepath.Join(h.Home.Programs(), name)
	if strings.Contains(name, "/") {
		s.fault("write the name alone, and put the file into "+h.Home.Programs(),
			"<executable> %s has a slash in it: execd looks in %s only", quote(name), h.Home.Programs())
		return
	}
	info, err := os.Stat(path)
	if !h.own(name) {
		ours := slices.ContainsFunc(suite, func(of string) bool { return strings.Contains(name, of) })
		switch {
		case err == nil:
		case ours:
			s.fault(h.reinstall(), "%s is not there", path)
		default:
			s.fault("put it there, or correct <executable> in "+h.conf.path, "%s is not there", path)
		}
		return
	}
	h.runnable(s, path)
	mine, mineErr := os.Stat(h.file(h.subject))
	if err == nil && mineErr == nil && !os.SameFile(mine, info) {
		s.warn(h.reinstall(),
			"%s is another program than %s: an upgrade of OSSEC or Wazuh may have put its own there", path,
			h.subject.Name)
	}
}

func (h *host) reinstall() string {
	return "run install.sh --home " + string(h.Home) + " of the suite again"
}

// runnable checks whether a file of ours can be run, and by whom it could be changed.
func (h executables) runnable(s *sheet, path string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.fault(h.reinstall(), "%s is not there", path)
		return
	case err != nil:
		s.fault(h.reinstall(), "%v", err)
		return
	case !info.Mode().IsRegular():
		s.fault(h.reinstall(), "%s is no plain file", path)
		return
	}
	mode, owner := info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Uid
	if mode&0o111 == 0 {
		s.fault("chmod 0755 "+path, "%s is not executable (mode %04o)", path, mode)
	}
	if mode&0o022 != 0 {
		s.fault("chmod 0755 "+path,
			"%s can be written to by others than its owner (mode %04o), who could so become root", path, mode)
	}
	if int(owner) != h.owner {
		s.fault("chown root "+path, "%s belongs to user %d, who could so become root", path, owner)
	}
}

// newer looks for files that execd may not know because they came after it. That one has
// been called before shows in the log: then it was replaced, which does no harm.
func (h executables) newer(s *sheet, names []string) {
	execd := h.find("execd")
	if execd == nil {
		return
	}
	started := h.startTime(execd)
	if started.IsZero() {
		return
	}
	started = started.Add(time.Second) // btime is in seconds
	for _, name := range names {
		path := filepath.Join(h.Home.Programs(), name)
		changed, ok := lastChange(path)
		if !ok || !changed.After(started) || !h.own(name) {
			continue
		}
		times := fmt.Sprintf("%s changed on %s, %s runs since %s", path, stamp(changed),
			execd.Name, stamp(started))
		if logs(h).logged(path) {
			s.warn(h.control("restart"),
				"%s; it has been called before, so that this does no harm as a rule", times)
		} else {
			s.fault(h.control("restart"),
				"%s: if the file is new, the daemon does not see it before it is restarted", times)
		}
	}
}

func stamp(t time.Time) string { return t.Format(time.DateTime) }

// lastChange returns when the file, or the link that leads to it, was last written,
// moved or changed.
func lastChange(path string) (time.Time, bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}, false
	}
	last := info.ModTime()
	if changed := time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix()); changed.After(last) {
		last = changed
	}
	return last, true
}

// writable reports whether this process may write to a file or folder.
func writable(path string) error { return unix.Access(path, unix.W_OK) }

// writing is what mends that a folder, or on a disk that is read-only a file, cannot be written to.
func (h *host) writing(dir string, err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return `mount -o remount,rw "$(findmnt -no TARGET -T ` + dir + `)"`
	case h.user != 0:
		return "run it as root"
	}
	return "chmod u+w " + dir
}
