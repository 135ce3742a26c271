package lease

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Daemon identifies the process that asked for a block, across reboots and reuse of
// its pid. It is the one that will ask for the delete.
type Daemon struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot: field 22 of proc_pid_stat(5)
	Boot  string `json:"boot"`  // /proc/sys/kernel/random/boot_id
}

// daemons are the programs that call responses.
var daemons = []string{"ossec-execd", "wazuh-execd"}

// FindDaemon returns the process pid if it is one of the daemons that call
// responses, else nil. proc is where procfs is mounted, "/proc".
func FindDaemon(proc string, pid int) *Daemon {
	name, start, err := stat(proc, pid)
	if err != nil {
		return nil
	}
	for _, d := range daemons {
		if name == d {
			return &Daemon{Name: name, PID: pid, Start: start, Boot: bootID(proc)}
		}
	}
	return nil
}

// Alive reports whether the daemon still runs.
func (d *Daemon) Alive(proc string) bool {
	if d.Boot != bootID(proc) {
		return false
	}
	name, start, err := stat(proc, d.PID)
	return err == nil && name == d.Name && start == d.Start
}

// maxProc bounds what is read of a file in procfs, in bytes.
const maxProc = 64 << 10

// bootID returns the id of this boot, "" when it cannot be read.
func bootID(proc string) string {
	id, err := state.Read(filepath.Join(proc, "sys/kernel/random/boot_id"), maxProc)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// stat reads the name and start time of a process that runs. The name is cut to 15 bytes
// by the kernel and may hold blanks and brackets, so it ends at the last bracket.
func stat(proc string, pid int) (name string, start uint64, err error) {
	line, err := state.Read(filepath.Join(proc, strconv.Itoa(pid), "stat"), maxProc)
	if err != nil {
		return "", 0, err
	}
	left, right := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if left < 0 || right < left {
		return "", 0, fmt.Errorf("reading process %d: no name in its stat", pid)
	}
	fields := strings.Fields(string(line[right+1:]))
	const startField = 22 - 3 // the first field after the name is number 3
	if len(fields) <= startField {
		return "", 0, fmt.Errorf("reading process %d: too few fields in its stat", pid)
	}
	if state := fields[0]; state == "Z" || state == "X" { // nobody has waited for it yet
		return "", 0, fmt.Errorf("reading process %d: it has ended", pid)
	}
	start, err = strconv.ParseUint(fields[startField], 10, 64)
	return string(line[left+1 : right]), start, err
}
