package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCheckNamesWhatIsBroken: what somebody does to the kernel's part of a block is a
// fault, or a warning, of the row that looks at it.
func TestCheckNamesWhatIsBroken(t *testing.T) {
	for _, tt := range []struct{ name, backend, damage, row string }{
		{"nothing", "iptables", "true", `^ok +firewall, IPv4 +-  addresses blocked by chain OSSEC_AR of iptables: 1$`},
		{"jump removed", "iptables", "iptables -D INPUT -j OSSEC_AR", `^FAULT +firewall, IPv4 +-  INPUT does not jump to OSSEC_AR$`},
		{"a rule before the jump accepts all", "iptables", "iptables -I INPUT -j ACCEPT", `^FAULT +firewall, IPv4 +-  the jump in INPUT stands behind rule 1, which accepts$`},
		{"rules flushed", "iptables", "iptables -F OSSEC_AR", `^(FAULT|warn) +leases .*203\.0\.113\.7`},
		{"ipset not matched", "ipset", "iptables -F OSSEC_AR", `^FAULT +.*ossec_ar4`},
		{"nftables table deleted", "nftables", "nft delete table inet ossec_ar", `^(FAULT|warn) +leases .*203\.0\.113\.7`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			bin := buildPrograms(t)
			configure(t, bin, "[firewall]\nbackend = \""+tt.backend+"\"\n")
			program := filepath.Join(bin, "firewall-drop")
			respond(t, program, "add", "-", "203.0.113.7", "1.1", "5712")
			var here Host
			shell(t, tt.damage)
			out, _ := here.Try(t, tool(program, "check")) // a home made up has other faults
			if !regexp.MustCompile("(?m)" + tt.row).MatchString(out) {
				t.Errorf("after %q no row like %s in:\n%s", tt.damage, tt.row, out)
			}
		})
	}
}

// TestCheckFullDisk: a disk without room for leases is a fault.
func TestCheckFullDisk(t *testing.T) {
	if !Isolated(t) {
		return
	}
	bin := buildPrograms(t)
	folder := filepath.Join(bin, "../../var")
	if err := errors.Join(os.MkdirAll(folder, 0o755), unix.Mount("small", folder, "tmpfs", 0, "size=64k,mode=755")); err != nil {
		needKernel(t, fmt.Sprintf("mounting a tmpfs: %v", err))
	}
	t.Cleanup(func() { _ = unix.Unmount(folder, 0) }) // it goes with the namespace otherwise
	if err := os.Mkdir(filepath.Join(folder, "active-response"), 0o700); err != nil {
		t.Fatal(err)
	}
	// The filler stops when the disk is full.
	_ = os.WriteFile(filepath.Join(folder, "filler"), make([]byte, 1<<20), 0o600)
	var here Host
	out, err := here.Try(t, tool(filepath.Join(bin, "firewall-drop"), "check"))
	if err == nil || !strings.Contains(out, "is full: leases cannot be written") {
		t.Errorf("check: %v\n%s", err, out)
	}
}
