package firewall

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// saying makes a program that prints text, whatever it is asked.
func saying(t *testing.T, dir, name, text string) {
	t.Helper()
	script := "#!/bin/sh\ncat <<'END'\n" + text + "END\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	const (
		empty  = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
		chain  = empty + "-N OSSEC_AR\n"
		jump   = "-A INPUT -j OSSEC_AR\n"
		rule   = "-A OSSEC_AR -s 203.0.113.7/32 -j DROP\n"
		rules  = "ok iptables chain: chain OSSEC_AR has 1 rules on addresses"
		bySet  = "-A INPUT -m set --match-set ossec_ar4 src -j OSSEC_AR\n"
		setOut = "-A OSSEC_AR -m set --match-set ossec_ar4 src -j DROP\n"
	)
	rows := []struct {
		name, v4, v6 string // what the programs print; "" for none
		ipv6         bool
		forward      string
		want         []string
		mend         string // in the remedy of what is not well
	}{
		{"nothing yet", empty, empty, true, "never", []string{"ok iptables: no chain OSSEC_AR yet", "ok ip6tables: no chain"}, ""},
		{"all well", chain + jump + rule, "", false, "never", []string{rules, "ok iptables jump: INPUT jumps to OSSEC_AR before all else"}, ""},
		{"not installed", "", "", false, "never", []string{"fault iptables: iptables in "}, "package manager"},
		{"no ip6tables", chain + jump + rule, "", true, "never", []string{rules, "ok iptables jump", "fault ip6tables: ip6tables is not installed, and the host has IPv6"}, "package manager"},
		{"no jump", chain + rule, "", false, "never", []string{rules, "fault iptables jump: chain INPUT does not jump to OSSEC_AR"}, "iptables -I INPUT -j OSSEC_AR"},
		{"a jump for the set only", chain + bySet + rule, "", false, "never", []string{rules, "fault iptables jump: chain INPUT does not jump"}, "iptables -I INPUT"},
		{"the set alone", chain + bySet + setOut, "", false, "never", []string{"ok iptables chain: chain OSSEC_AR has 0 rules", "ok iptables jump"}, ""},
		{"all accepted before", chain + "-A INPUT -c 1 2 -j ACCEPT\n" + jump + rule, "", false, "never",
			[]string{rules, "fault iptables jump: rule 1 of chain INPUT, before the jump to OSSEC_AR, lets everybody through: -j ACCEPT"}, "iptables -D INPUT -j OSSEC_AR && iptables -I INPUT -j OSSEC_AR"},
		{"all accepted before, with a comment", chain + "-A INPUT -m comment --comment \"a \\\"-j DROP\\\" b\" -j ACCEPT\n" + jump + rule, "", false, "never",
			[]string{rules, "fault iptables jump: rule 1 of chain INPUT"}, "iptables -D INPUT"},
		{"some accepted before", chain + "-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n" + jump + rule, "", false, "never",
			[]string{rules, "warn iptables jump: rule 2 of chain INPUT, before the jump to OSSEC_AR, lets some packets through, of the blocked too: -p tcp -m tcp --dport 22 -j ACCEPT"}, "iptables -D INPUT"},
		{"some accepted, then all", chain + "-A INPUT -p tcp -j ACCEPT\n-A INPUT -j RETURN\n" + jump + rule, "", false, "never",
			[]string{rules, "fault iptables jump: rule 2 of chain INPUT"}, "iptables -D INPUT"},
		{"others before", chain + "-A INPUT -i lo -j ACCEPT\n-A INPUT -j f2b-sshd\n" + jump + rule, "", false, "never",
			[]string{rules, "ok iptables jump: chain INPUT jumps to OSSEC_AR, and the 2 rules before let nobody through"}, ""},
		{"accepted after", chain + jump + "-A INPUT -j ACCEPT\n" + rule, "", false, "never", []string{rules, "ok iptables jump"}, ""},
		{"let through in the chain", chain + jump + "-A OSSEC_AR -j RETURN\n" + rule, "", false, "never",
			[]string{"fault iptables chain: rule 1 of chain OSSEC_AR lets everybody through: -j RETURN", "ok iptables jump"}, "iptables -D OSSEC_AR 1"},
		{"no jump from FORWARD", chain + jump + rule, "", false, "always", []string{rules, "ok iptables jump: INPUT", "fault iptables jump: chain FORWARD does not jump"}, "iptables -I FORWARD -j OSSEC_AR"},
		{"Docker's chain that nothing leads to", chain + "-N DOCKER-USER\n" + jump + "-A DOCKER-USER -j OSSEC_AR\n-A FORWARD -i lo -j DOCKER-USER\n" + rule, "", false, "always",
			[]string{rules, "ok iptables jump: INPUT", "fault iptables jump: chain FORWARD does not jump"}, "iptables -I FORWARD -j OSSEC_AR"},
		{"no jump from Docker's chain", chain + "-N DOCKER-USER\n" + jump + "-A FORWARD -j DOCKER-USER\n-A FORWARD -j OSSEC_AR\n" + rule, "", false, "always",
			[]string{rules, "ok iptables jump: INPUT", "fault iptables jump: chain DOCKER-USER does not jump"}, "iptables -I DOCKER-USER -j OSSEC_AR"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if row.v4 != "" {
				saying(t, dir, "iptables", row.v4)
			}
			if row.v6 != "" {
				saying(t, dir, "ip6tables", row.v6)
			}
			if row.ipv6 {
				if err := os.MkdirAll(filepath.Join(dir, "proc/net/if_inet6"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			e := enforcerOn(dir, func(o *Options) { o.Proc, o.Forward = filepath.Join(dir, "proc"), row.forward })
			wantFindings(t, e.Inspect(context.Background(), "/"), row.want, row.mend)
		})
	}

	t.Run("a failure in the program's words", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "iptables"), []byte("#!/bin/sh\necho 'Permission denied' >&2\nexit 4\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		e := enforcerOn(dir, func(o *Options) { o.Proc = dir })
		wantFindings(t, e.Inspect(context.Background(), "/"), []string{"fault iptables: iptables: exit status 4: Permission denied"}, "")
	})
}

func wantFindings(t *testing.T, found []enforcer.Finding, want []string, mend string) {
	t.Helper()
	if len(found) != len(want) {
		t.Fatalf("%d findings, want %d: %+v", len(found), len(want), found)
	}
	for i, f := range found {
		got := string(f.Verdict) + " " + f.What + ": " + f.Found
		if !strings.HasPrefix(got, want[i]) {
			t.Errorf("finding %d is\n%s\nwant\n%s...", i, got, want[i])
		}
		if well := f.Verdict == enforcer.OK; well != (f.Mend == "") || !well && !strings.Contains(f.Mend, mend) {
			t.Errorf("%s: mend is %q, want ...%s...", got, f.Mend, mend)
		}
	}
}
