package ossec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Process is one that runs.
type Process struct {
	Name  string // cut to 15 bytes by the kernel
	PID   int
	Start uint64 // clock ticks after boot: field 22 of proc_pid_stat(5)
}

// maxProc bounds what is read of a file in procfs, in bytes.
const maxProc = 64 << 10

// FindProcess returns the process pid. proc is where procfs is mounted, "/proc". One that has ended,
// and that nobody has waited for yet, is an error.
func FindProcess(proc string, pid int) (Process, error) {
	p := Process{PID: pid}
	line, err := state.Read(filepath.Join(proc, strconv.Itoa(pid), "stat"), maxProc)
	if err != nil {
		return p, err
	}
	// The name may hold blanks and brackets, so it ends at the last bracket.
	left, right := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if left < 0 || right < left {
		return p, fmt.Errorf("reading process %d: no name in its stat", pid)
	}
	fields := strings.Fields(string(line[right+1:]))
	const startField = 22 - 3 // the first field after the name is number 3
	if len(fields) <= startField {
		return p, fmt.Errorf("reading process %d: too few fields in its stat", pid)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return p, fmt.Errorf("reading process %d: it has ended", pid)
	}
	p.Name = string(line[left+1 : right])
	p.Start, err = strconv.ParseUint(fields[startField], 10, 64)
	return p, err
}

// BootID returns the id of this boot, from which Process.Start counts; "" when it cannot be read.
func BootID(proc string) string {
	id, err := state.Read(filepath.Join(proc, "sys/kernel/random/boot_id"), maxProc)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Processes returns the daemons of this home that run, in no order, by their whole names where this
// user may see them.
func (h Home) Processes(proc string) []Process {
	entries, _ := os.ReadDir(proc) // without procfs nothing runs that could be seen
	var found []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := FindProcess(proc, pid)
		if err == nil && (strings.HasPrefix(p.Name, "ossec-") || strings.HasPrefix(p.Name, "wazuh-")) &&
			h.Runs(proc, pid) {
			if exe, err := executable(proc, pid); err == nil {
				p.Name = filepath.Base(exe)
			}
			found = append(found, p)
		}
	}
	return found
}

// Runs reports whether a process is a daemon of this home by more than its name, which anybody can
// give himself: its executable lies in the home's bin, and it sees the same mounts, so that it is not
// one in a container. A process that this user may not look at is taken for one.
func (h Home) Runs(proc string, pid int) bool {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	theirs, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
	if ours, oerr := os.Readlink(filepath.Join(proc, "self/ns/mnt")); err == nil && oerr == nil &&
		theirs != ours {
		return false
	}
	exe, err := executable(proc, pid)
	if err != nil {
		return errors.Is(err, os.ErrPermission) && usersOf(proc, strconv.Itoa(pid)) == usersOf(proc, "self")
	}
	bin := h.join("bin")
	if real, err := filepath.EvalSymlinks(bin); err == nil {
		bin = real
	}
	return filepath.Dir(exe) == bin
}

// executable returns the file that a process runs, or that an upgrade has replaced since.
func executable(proc string, pid int) (string, error) {
	exe, err := os.Readlink(filepath.Join(proc, strconv.Itoa(pid), "exe"))
	return strings.TrimSuffix(exe, " (deleted)"), err
}

// usersOf returns the users of a process's namespace, which anybody may read (user_namespaces(7)); "" where
// the kernel has no such namespaces.
func usersOf(proc, process string) string {
	users, err := state.Read(filepath.Join(proc, process, "uid_map"), maxProc)
	if err != nil {
		return ""
	}
	return string(users)
}

// RunsAsRoot reports whether a process is a daemon of this home as Runs does, and is root's, or of
// the user who asks. The daemons' own account can run the same executables.
func (h Home) RunsAsRoot(proc string, pid int) bool {
	text, err := state.Read(filepath.Join(proc, strconv.Itoa(pid), "status"), maxProc)
	if err != nil {
		return false
	}
	_, line, _ := strings.Cut(string(text), "\nUid:")
	line, _, _ = strings.Cut(line, "\n")
	ids := strings.Fields(line) // real, effective, saved, of files
	for _, id := range ids {
		if id != "0" && id != strconv.Itoa(os.Geteuid()) {
			return false
		}
	}
	return len(ids) == 4 && h.Runs(proc, pid)
}
