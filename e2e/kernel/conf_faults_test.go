package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// confFault is what can be in the place of the files that say who is never blocked.
type confFault struct {
	name string
	put  func(etc string) error
	told string // what the response says; "" for nothing
	// covers reports that friend is on the whitelist all the same.
	covers bool
	memory int // that it may need, in KiB; 0 for 64 MiB
}

const friend = "192.0.2.77"

func confFaults() []confFault {
	conf := func(text string) func(etc string) error {
		return func(etc string) error { return os.WriteFile(etc+"/ossec.conf", []byte(text), 0o600) }
	}
	entry := "<ossec_config><global><white_list>" + friend + "</white_list></global></ossec_config>\n"
	return []confFault{
		{"a million entries", func(etc string) error {
			var list strings.Builder
			for i := range 1_000_000 {
				fmt.Fprintf(&list, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
			}
			list.WriteString(friend + "\n")
			return errors.Join(os.Mkdir(etc+"/whitelist.d", 0o755), os.WriteFile(etc+"/whitelist.d/million", []byte(list.String()), 0o600))
		}, "", true, 0},
		{"10 MB", conf(strings.Repeat("<!-- a comment of some fifty characters a line -->\n", 200_000) + entry), "", true, 128 << 10},
		{"10 MB of entries", conf("<ossec_config><global>\n" + strings.Repeat("<white_list>10.200.0.1</white_list>\n", 300_000) + "</global></ossec_config>\n" + entry), "", true, 256 << 10},
		// What is read of a file with a slip in it counts, and check reports the slip.
		{"cut off", conf(entry + "<ossec_config><global><white_li"), "", true, 0},
		{"not closed", conf("<ossec_config>" + entry), "", true, 0},
		{"no XML", conf(strings.Repeat("\x00\xff<&", 1000)), "reading configuration ", false, 0},
		{"empty", conf(""), "", false, 0},
		{"a folder", func(etc string) error { return os.Mkdir(etc+"/ossec.conf", 0o755) }, "ossec.conf: is a directory", false, 0},
		{"a pipe", func(etc string) error { return unix.Mkfifo(etc+"/ossec.conf", 0o600) }, "ossec.conf is no plain file", false, 0},
		{"a link to nothing", func(etc string) error { return os.Symlink("nothing", etc+"/ossec.conf") }, "", false, 0},
		{"too many links", func(etc string) error { return os.Symlink("ossec.conf", etc+"/ossec.conf") }, "too many levels of symbolic links", false, 0},
	}
}

// TestConfFaults: whatever became of ossec.conf and however long the whitelist is, what is
// sound in it counts, what is wrong is reported, and all others are blocked, in time and
// without much memory.
func TestConfFaults(t *testing.T) {
	for _, b := range blockers() {
		if b.name != "iptables-nft" && b.program == "firewall-drop" {
			continue // the whitelist comes before all of them
		}
		t.Run(b.name, func(t *testing.T) {
			if !Isolated(t) {
				return
			}
			program := b.set(t)
			etc := filepath.Join(filepath.Dir(program), "../../etc")
			var here Host
			for _, fault := range confFaults() {
				if b.program != "firewall-drop" && (fault.memory > 0 || fault.name == "a million entries") {
					continue // it takes long, and is the same for all
				}
				t.Run(fault.name, func(t *testing.T) {
					must(t, errors.Join(os.RemoveAll(etc), os.Mkdir(etc, 0o755)))
					must(t, fault.put(etc))
					for addr, blocked := range map[string]bool{friend: !fault.covers, "203.0.113.7": true} {
						// Go ends with status 2 when it gets no more memory: setrlimit(2), RLIMIT_DATA.
						bounded := fmt.Sprintf("ulimit -d %d; exec %s add - %s 1.1 5712", cmp.Or(fault.memory, 64<<10), program, addr)
						began := time.Now()
						out, err := here.Try(t, exec.Command("/bin/sh", "-c", bounded))
						if err != nil || fault.told == "" && out != "" || !strings.Contains(out, fault.told) || len(out) > 4096 {
							t.Errorf("add of %s: %v, %.500q; want %q", addr, err, out, fault.told)
						}
						if took := time.Since(began); took > patience {
							t.Errorf("it took %s", took)
						}
						if got := strings.Contains(person(t, program, "export"), addr+"\n"); got != blocked {
							t.Errorf("%s is leased: %v, want %v", addr, got, blocked)
						}
					}
					want := "Unblocked all: 2 addresses ("
					if fault.covers {
						want = "Unblocked all: 1 address ("
					}
					if got := person(t, program, "flush"); !strings.HasPrefix(got, want) {
						t.Errorf("flush says %q, want %q", got, want)
					}
				})
			}
		})
	}
}
