package lease

import (
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
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
	return &Daemon{Name: p.Name, PID: pid, Start: p.Start, Boot: ossec.BootID(proc)}
}

// Alive reports whether the daemon still runs.
func (d *Daemon) Alive(proc string) bool {
	if d.Boot != ossec.BootID(proc) {
		return false
	}
	p, err := ossec.FindProcess(proc, d.PID)
	return err == nil && p.Name == d.Name && p.Start == d.Start
}
