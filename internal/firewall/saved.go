package firewall

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// savedFiles are where the rules of a firewall are saved to be loaded at boot.
var savedFiles = []string{
	"etc/iptables/rules.v4", "etc/iptables/rules.v6", "etc/iptables/ipsets",
	"etc/iptables/iptables.rules", "etc/iptables/ip6tables.rules",
	"etc/sysconfig/iptables", "etc/sysconfig/ip6tables", "etc/sysconfig/ipset", "etc/sysconfig/nftables.conf",
	"etc/nftables.conf", "etc/ufw/*.rules",
}

// prepareUnit is the unit of systemd that calls Prepare at boot.
const prepareUnit = "ossec-ar-prepare.service"

// saved returns what is ours in the saved rules below root. At boot they bring blocks of the past
// back, which maintain lifts; where they refer to a set that nobody made before, or nft saved a rule on one,
// all rules of the file are refused, those of the administrator, too.
func saved(root string) (found []enforcer.Finding) {
	// The patterns are well-formed.
	units, _ := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.wants", prepareUnit))
	for _, pattern := range savedFiles {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range files {
			byNFT := strings.HasSuffix(path, "nftables.conf")
			line, lines, bySet := oursIn(path, byNFT)
			if lines == 0 {
				continue
			}
			f := enforcer.Finding{
				What: "saved firewall", Verdict: enforcer.Warn,
				Found: fmt.Sprintf("%s:%d: %d saved lines are of %s: at boot they bring old blocks back, until "+
					"maintain lifts them", path, line, lines, Chain),
				Mend: "sed -i '/ossec_ar/Id' " + path + " (and save by: iptables-save | grep -vi ossec_ar)",
			}
			if byNFT { // as nft list ruleset writes it
				f.Mend = fmt.Sprintf(`sed -i -e '/chain %s {/,/^[[:space:]]*}/d' -e '/jump %s/d' -e '/table inet %s {/,/^}/d' %s`,
					Chain, Chain, nftTableName, path)
			}
			switch {
			case bySet && byNFT:
				f.Verdict = enforcer.Fault
				f.Found += "; one is a rule of iptables on a set, which nft cannot read: the whole file is refused, " +
					"and the host has no firewall"
			case bySet && len(units) == 0:
				f.Verdict = enforcer.Fault
				f.Found += "; they name a set that is missing then: the whole file is refused, " +
					"and the host has no firewall"
				f.Mend += "; or systemctl enable " + prepareUnit
			}
			found = append(found, f)
		}
	}
	return found
}

// oursIn returns the number of the first line of a file that is ours, how many are, and whether
// one refers to a set. In a file for nft the administrator may have sets of that name.
func oursIn(path string, byNFT bool) (at, lines int, bySet bool) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, false // nobody loads it either
	}
	defer file.Close()
	text := bufio.NewScanner(file)
	inChain := false
	for n := 1; text.Scan(); n++ {
		line := strings.TrimSpace(text.Text())
		ours := strings.Contains(strings.ToLower(line), "ossec_ar")
		if byNFT {
			ours = strings.Contains(line, Chain) || strings.HasPrefix(line, "table inet "+nftTableName)
			inChain = line != "}" && (inChain || strings.HasPrefix(line, "chain "+Chain))
			bySet = bySet || inChain && strings.HasPrefix(line, "xt ")
		}
		if !ours || strings.HasPrefix(line, "#") {
			continue
		}
		if lines++; lines == 1 {
			at = n
		}
		bySet = bySet || strings.Contains(line, "--match-set ossec_ar")
	}
	return at, lines, bySet
}
