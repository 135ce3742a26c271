package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// variant is which of the two kinds of iptables a program is.
type variant int

const (
	unknownVariant variant = iota // asked through its command line only
	overNFT                       // keeps its rules in nf_tables
	legacy                        // in tables of its own
)

// host is the iptables of one address family on this host, and the options of this enforcer.
type host struct {
	opts  Options
	v6    bool
	table string // of iptables, in which our chain is
	tool
}

// tool is iptables or ip6tables.
type tool struct {
	program string // absolute path, "" when it is not installed
	restore string // of the iptables-restore beside it
	variant variant
}

// familyName returns the name of the family's program: "iptables-legacy" for "-legacy".
func familyName(v6 bool, suffix string) string {
	if v6 {
		return "ip6tables" + suffix
	}
	return "iptables" + suffix
}

func findTool(name string, dirs []string) (tool, error) {
	program, err := exec.Find(name, dirs)
	if err != nil {
		return tool{}, err
	}
	dir := []string{filepath.Dir(program)}
	restore, err := exec.Find(name+"-restore", dir)
	found := tool{program, restore, variantOf(program)}
	if err != nil || sameFile(program, restore) { // as nearly always
		return found, err
	}
	other := variantOf(restore)
	if found.variant == other || found.variant == unknownVariant || other == unknownVariant {
		return found, err
	}
	// update-alternatives(1) was used for one of the two only.
	suffix := map[variant]string{overNFT: "-nft-restore", legacy: "-legacy-restore"}[found.variant]
	if found.restore, err = exec.Find(name+suffix, dir); err != nil {
		err = fmt.Errorf("%w: %s and %s are not of one kind, nf_tables or legacy", errMixed, program, restore)
	}
	return found, err
}

func sameFile(a, b string) bool {
	one, err1 := os.Stat(a)
	two, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(one, two)
}

// errMixed says that iptables and iptables-restore would work in different tables.
var errMixed = errors.New("iptables is installed in part")

// variantOf goes by the file that the program's name leads to.
func variantOf(program string) variant {
	path, err := filepath.EvalSymlinks(program)
	if err != nil {
		return unknownVariant
	}
	switch filepath.Base(path) {
	case "xtables-nft-multi":
		return overNFT
	case "xtables-legacy-multi", "xtables-multi": // the latter up to iptables 1.6
		return legacy
	}
	return unknownVariant
}

// kernelHasLegacyTable reports whether there is one, for the program would make it.
func kernelHasLegacyTable(proc string, v6 bool, table string) bool {
	name := "thread-self/net/ip_tables_names" // of the network that the tables are asked for in
	if v6 {
		name = "thread-self/net/ip6_tables_names"
	}
	tables, err := state.Read(filepath.Join(proc, name), 4096)
	return err == nil && slices.Contains(strings.Fields(string(tables)), table)
}

func kernelHasIPv6(proc string) bool {
	_, err := os.Stat(filepath.Join(proc, "net/if_inet6"))
	return err == nil
}

// waitSeconds is how long iptables may wait for the xtables lock: somewhat less than there is
// time, so that it can say what it waited for, and in a call that may last longer no longer than
// in one about one address.
func (h *host) waitSeconds(ctx context.Context) int {
	left := h.opts.Timeout
	if deadline, limited := ctx.Deadline(); limited {
		left = min(left, time.Until(deadline))
	}
	return max(1, int(left.Seconds()*3/4))
}

// lockVariable names another file than lockFile to iptables.
const lockVariable = "XTABLES_LOCKFILE"
