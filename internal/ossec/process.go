package ossec

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Elsewhere reports whether a process is no daemon of this home, whatever its name: its executable
// lies in another folder, or it is in a container. proc is where procfs is mounted. Of a process
// that this user may not look at it is not known, and false.
func (h Home) Elsewhere(proc string, pid int) bool {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	theirs, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
	if ours, oerr := os.Readlink(filepath.Join(proc, "self/ns/mnt")); err == nil && oerr == nil && theirs != ours {
		return true
	}
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return false
	}
	home := string(h)
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	return !strings.HasPrefix(exe, home+"/")
}
