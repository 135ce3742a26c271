package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

func load(t *testing.T, text string) (Config, string, error) {
	t.Helper()
	home := ossec.Home(t.TempDir())
	path := filepath.Join(string(home), "etc/active-response.toml")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	c, err := Load(home)
	return c, path, err
}

func TestLoadWithoutFile(t *testing.T) {
	c, err := Load(ossec.Home(t.TempDir()))
	if err != nil || c.Firewall.Target != "DROP" || !c.Whitelist.Loopback {
		t.Errorf("Load = %+v, %v; want the defaults and no error", c, err)
	}
}

func TestLoadReadsValues(t *testing.T) {
	c, _, err := load(t, `
[whitelist]
entries = ["192.0.2.0/24"]
gateways = false
resolve_timeout = "2s"

[firewall]
target = "REJECT"
backend = "ipset"
max_rules = 0
max_addresses = 5000
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Whitelist.Gateways || !c.Whitelist.Loopback || c.Firewall.Target != "REJECT" ||
		c.Firewall.Backend != "ipset" || c.Firewall.MaxRules != 0 || c.Firewall.MaxAddresses != 5000 ||
		c.Whitelist.ResolveTimeout.Duration != 2*time.Second || len(c.Whitelist.Entries) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestLoadReportsAllFaultsAndKeepsTheRest(t *testing.T) {
	c, path, err := load(t, `[whitelist]
entries = ["192.0.2.1"]
gatewys = false
loopback = "no"

[firewal]
target = "DROP"

[firewall]
target = "ACCEPT"
timeout = "soon"
backend = "pf"
max_rules = -1
max_addresses = 0
`)
	if err == nil {
		t.Fatal("want faults")
	}
	for _, want := range []string{
		path + `:3: whitelist.gatewys: unknown key; did you mean "gateways"?`,
		path + `:4: whitelist.loopback: the value must be true or false`,
		path + `:6: firewal: unknown table; did you mean "firewall"?`,
		path + `:10: firewall.target: "ACCEPT" is not one of DROP, REJECT`,
		path + `:11: firewall.timeout:`,
		path + `:12: firewall.backend: "pf" is not one of auto, iptables, ipset, nftables`,
		path + `:13: firewall.max_rules: -1 is not from 0 to 100000`,
		path + `:14: firewall.max_addresses: 0 is not from 1 to 100000000`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("faults lack %q in:\n%v", want, err)
		}
	}
	if len(c.Whitelist.Entries) != 1 || !c.Whitelist.Loopback || c.Firewall.Target != "DROP" ||
		c.Firewall.MaxRules != 16 {
		t.Errorf("sound values and defaults do not hold: %+v", c)
	}
}

// TestNoTable: what is written as another thing than the table that it is, is reported.
func TestNoTable(t *testing.T) {
	for _, text := range []string{"firewall = \"ipset\"\n", "firewall = 1\n", "[[firewall]]\nbackend = \"ipset\"\n"} {
		_, path, err := load(t, text)
		if want := path + ":1: firewall: it is a table, written [firewall]"; err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestEarly: what the raw table cannot do leaves the blocks where they were.
func TestEarly(t *testing.T) {
	for settings, want := range map[string]bool{
		"": true, "forward = \"always\"": true, "forward = \"never\"": false, "target = \"REJECT\"": false,
	} {
		c, path, err := load(t, "[firewall]\n"+settings+"\nearly = true\n")
		if c.Firewall.Early != want || (err == nil) != want {
			t.Errorf("with %q it is %t, %v", settings, c.Firewall.Early, err)
		}
		if !want && !strings.Contains(err.Error(), path+":3: firewall.early: ") {
			t.Errorf("with %q: %v", settings, err)
		}
	}
}

// TestWhatIsNoTOMLIsPassedOver: only the statement that is wrong, and the table that has
// no head, are lost.
func TestWhatIsNoTOMLIsPassedOver(t *testing.T) {
	const before, after = "[whitelist]\nentries = [\"192.0.2.1\"]\n", "[host_deny]\nfile = \"/srv/hosts.deny\"\n"
	for _, test := range []struct {
		broken string
		lines  []int // that are reported, of broken
		kept   string
	}{
		{broken: "[firewall]\ntarget = DROP\nbackend = \"ipset\"\n", lines: []int{2}, kept: "ipset"},
		{broken: "[firewall]\ntarget =\nbackend = \"ipset\"\n", lines: []int{2}, kept: "ipset"},
		{broken: "[firewall]\ntarget\nbackend = \"ipset\"\n", lines: []int{2}, kept: "ipset"},
		{broken: "[firewall]\ntarget = \"DROP\nbackend = \"ipset\"\n", lines: []int{2}, kept: "ipset"},
		{broken: "[firewall]\ntimeout = 20s\nmax_rules = 012\n= 3\nbackend = \"ipset\"\n", lines: []int{2, 3}, kept: "ipset"},
		{broken: "[firewall]\nmax_rules = 1\nmax_rules = 2\nbackend = \"ipset\"\n", lines: []int{3}, kept: "ipset"},
		{broken: "[firewall]\nbackend = \"ipset\"\n[firewall]\nbackend = \"nftables\"\n", lines: []int{3}, kept: "ipset"},
		{broken: "[firewall\nbackend = \"ipset\"\nfile = \"x\"\n", lines: []int{1}, kept: "auto"},
		{broken: "firewall]\nbackend = \"ipset\"\nentries = [\"192.0.2.9\"]\n", lines: []int{1}, kept: "auto"},
		{broken: "[wazuh]\naddress_fields = [\n \"a\"\n \"b\",\n]\n[firewall]\nbackend = \"ipset\"\n", lines: []int{4}, kept: "ipset"},
		{broken: "[wazuh]\naddress_fields = [\n \"a\"\n\n[firewall]\nbackend = \"ipset\"\n", lines: []int{4}, kept: "ipset"},
	} {
		c, path, err := load(t, before+test.broken+after)
		if len(c.Whitelist.Entries) != 1 || c.Whitelist.Entries[0] != "192.0.2.1" ||
			c.HostDeny.File != "/srv/hosts.deny" ||
			c.Firewall.Backend != test.kept {
			t.Errorf("of %q there is left: %+v", test.broken, c)
		}
		if faults := strings.Split(fmt.Sprint(err), "\n"); len(faults) != len(test.lines) {
			t.Errorf("%q: reported are %q", test.broken, faults)
		}
		for _, line := range test.lines {
			if at := fmt.Sprintf("%s:%d: ", path, line+2); !strings.Contains(fmt.Sprint(err), at) {
				t.Errorf("%q: %v, want it to name %s", test.broken, err, at)
			}
		}
	}
}

// TestTooMuchIsWrong: then the defaults hold, and that is said.
func TestTooMuchIsWrong(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[firewall]\nbackend = \"ipset\"\n", 100),
		"[firewall]\nbackend = \"ipset\"\n" + strings.Repeat("x = y\n", 100_000),
	} {
		c, path, err := load(t, text)
		if c.Firewall.Backend != "auto" || err == nil ||
			!strings.Contains(err.Error(), path+": too much of it is wrong: nothing in it counts") ||
			strings.Count(err.Error(), "\n") > 50 {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func TestLoadUnreadable(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "etc/active-response.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Load(ossec.Home(home))
	var pathErr *os.PathError
	if !errors.As(err, &pathErr) {
		t.Errorf("err = %v, want the reading error", err)
	}
}

// Of a file that others than root can change only the whitelist's entries count, and nothing of its
// text is repeated.
func TestFileOfOthers(t *testing.T) {
	const text = "[whitelist]\nentries = [\"192.0.2.1\"]\nloopback = false\nfiles = [\"/tmp/x\"]\n" +
		"[host_deny]\nfile = \"/tmp/x\"\n[mail]\nsmtp_server = \"/tmp/x\"\nroot:$6$secret:1:\n"
	for name, share := range map[string]func(home string) error{
		"the file":   func(home string) error { return os.Chmod(home+"/etc/active-response.toml", 0o660) },
		"the folder": func(home string) error { return os.Chmod(home+"/etc", 0o770) },
		"the home":   func(home string) error { return os.Chmod(home, 0o777) },
	} {
		home := t.TempDir()
		path := home + "/etc/active-response.toml"
		if err := errors.Join(os.Mkdir(home+"/etc", 0o755), os.WriteFile(path, []byte(text), 0o600),
			share(home)); err != nil {
			t.Fatal(err)
		}
		c, err := Load(ossec.Home(home))
		want := Default()
		want.Whitelist.Strange = []string{"192.0.2.1"}
		if d := cmp.Diff(want, c); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		if err == nil || !strings.Contains(err.Error(), path+": ") || strings.Contains(err.Error(), "secret") ||
			!strings.Contains(err.Error(), "could be changed by others than root") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: whatever the file holds, what comes out can be worked with.
func FuzzParse(f *testing.F) {
	f.Add("[firewall]\ntarget = \"REJECT\"\ntimeout = \"1s\"\n")
	f.Add("[whitelist]\nentries = [1, \"x\"]\n[[mail.route]]\nto = []\n")
	f.Add("\r")
	f.Add("firewall = 1\n\"a b\".c = 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, _ := parse("x.toml", text, Default())
		if c.Firewall.Target != "DROP" && c.Firewall.Target != "REJECT" {
			t.Errorf("target %q", c.Firewall.Target)
		}
		if c.Firewall.Timeout.Duration <= 0 || c.Lease.LockTimeout.Duration <= 0 ||
			c.Wazuh.ReplyTimeout.Duration <= 0 {
			t.Errorf("no time to work in: %+v", c)
		}
		if !strings.HasPrefix(c.HostDeny.File, "/") || c.HostDeny.Daemons == "" {
			t.Errorf("host_deny %+v", c.HostDeny)
		}
		c, err := parse("x.toml", "[whitelist]\nentries = [\"192.0.2.1\"]\n[log]\n"+text, Default())
		if len(c.Whitelist.Entries) != 1 && !strings.Contains(fmt.Sprint(err), "too much of it is wrong") {
			t.Errorf("an error behind it took the whitelist away: %+v, %v", c.Whitelist, err)
		}
	})
}

// TestBlockfileFault: no default stands in for what is wrong in ip_customblock, in whatever way it is.
func TestBlockfileFault(t *testing.T) {
	for text, want := range map[string]string{
		"[ip_customblock]\nfile = \"/x\"\n":                        "",
		"[firewall]\nbackend = iptables\n":                         "",
		"[ip_customblock]\nformat = \"deny {addr};\"\n":            "no line with",
		"[ip_customblock]\nformat = 5\n":                           "ip_customblock.format: the value must be a text in quotes",
		"[ip_customblock]\nfromat = \"{address} 1;\"\n":            "unknown key",
		"[ip_customblock]\nfile = \"/x\"\nformat = {address} 1;\n": "active-response.toml:3: ",
		"ip_customblock = \"/x\"\n":                                "it is a table",
	} {
		c, _, err := load(t, text)
		if got := c.Blockfile.Fault; (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("%q: %v, want %q (of %v)", text, got, want, err)
		}
	}
}
