package hostsdeny

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

func TestInspect(t *testing.T) {
	rows := []struct {
		name, deny, allow string
		want              []string // verdict, what, and how the finding begins
	}{
		{"nothing there", "", "", []string{"ok hosts.deny: there is none yet",
			"ok hosts.allow: there is none"}},
		{"all well", "ALL:192.0.2.1\n", "sshd: 10.0.0.\n", []string{
			"ok hosts.deny: DIR/hosts.deny can be read; entries of the form \"ALL:ADDRESS\": 1",
			"ok hosts.allow: DIR/hosts.allow lets in by 1 rule, which libwrap asks first, also whom hosts.deny denies"}},
		{"no end", "ALL:192.0.2.1", "", []string{"fault hosts.deny: DIR/hosts.deny: its last line has no end",
			"ok hosts.allow"}},
		{"a long line", "ALL:192.0.2.1\n# a\\\n" + strings.Repeat("x", 2044) + "\nALL:192.0.2.2\n", "",
			[]string{"fault hosts.deny: DIR/hosts.deny:2: the line, with those that continue it, has 2047 bytes or more", "ok hosts.allow"}},
		{"one that is just not", "# " + strings.Repeat("x", 2044) + "\n", "",
			[]string{"ok hosts.deny", "ok hosts.allow"}},
		{"all allowed", "ALL:192.0.2.1\n", "# ALL : ALL\nALL : ALL\n",
			[]string{"ok hosts.deny", "fault hosts.allow: DIR/hosts.allow:2: \"ALL : ALL\" lets everybody in"}},
		{"one service allowed", "", "sshd : ALL : allow\n",
			[]string{"ok hosts.deny", "warn hosts.allow: DIR/hosts.allow:1: "}},
		{"all denied there", "", "ALL : ALL : deny\n", []string{"ok hosts.deny",
			"ok hosts.allow: DIR/hosts.allow lets nobody in"}},
		{"all but one", "", "ALL : ALL EXCEPT 192.0.2.9\n", []string{"ok hosts.deny", "ok hosts.allow"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				if text == "" {
					return
				}
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("hosts.deny", row.deny)
			write("hosts.allow", row.allow)
			found := New(Options{Path: filepath.Join(dir, "hosts.deny")}).Inspect(context.Background(), dir)
			if len(found) != len(row.want) {
				t.Fatalf("%d findings, want %d: %v", len(found), len(row.want), found)
			}
			for i, f := range found {
				got := strings.ReplaceAll(string(f.Verdict)+" "+f.What+": "+f.Found, dir, "DIR")
				if !strings.HasPrefix(got, row.want[i]) {
					t.Errorf("finding %d is\n%s\nwant\n%s...", i, got, row.want[i])
				}
				if (f.Verdict == enforcer.OK) != (f.Mend == "") {
					t.Errorf("%s: mend is %q", got, f.Mend)
				}
			}
		})
	}
}
