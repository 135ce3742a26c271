package lease

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
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

// FindDaemon returns the process pid if it is one of the daemons of the home that call
// responses, else nil. proc is where procfs is mounted, "/proc".
func FindDaemon(home ossec.Home, proc string, pid int) *Daemon {
	p, err := ossec.FindProcess(proc, pid)
	if err != nil || !slices.Contains(daemons, p.Name) || !home.RunsAsRoot(proc, pid) {
		return nil
	}
	return &Daemon{Name: p.Name, PID: pid, Start: p.Start, Boot: bootID(proc)}
}

// Alive reports whether the daemon still runs.
func (d *Daemon) Alive(proc string) bool {
	if d.Boot != bootID(proc) {
		return false
	}
	p, err := ossec.FindProcess(proc, d.PID)
	return err == nil && p.Name == d.Name && p.Start == d.Start
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
