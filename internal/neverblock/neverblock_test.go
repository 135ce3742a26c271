package neverblock_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// office is a name server that knows one name, and says nothing about others.
type office struct{}

func (office) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	if name == "office.example.com" {
		return []netip.Addr{netip.MustParseAddr("198.51.100.80")}, nil
	}
	return nil, fmt.Errorf("server misbehaving")
}

func refresh(t *testing.T, home ossec.Home, resolver neverblock.Resolver, now time.Time) map[string]neverblock.Name {
	t.Helper()
	names, err := neverblock.Refresh(t.Context(), home, config.Default().Whitelist, resolver, now)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func newHome(t *testing.T, files map[string]string) ossec.Home {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ossec.Home(dir)
}

const sound = `<ossec_config>
  <global>
    <white_list>198.51.100.1</white_list>
    <white_list>^198.51.100.300</white_list>
    <allow_list>198.51.100.16/28</allow_list>
    <white_list></white_list>
    <!-- <white_list>203.0.113.9</white_list> -->
    <email_to>203.0.113.9</email_to>
  </global>
</ossec_config>
<ossec_config><global><white_list>office.example.com</white_list></global></ossec_config>
`

// agent names managers in all ways, and what only looks like one.
const agent = `<ossec_config><client>
  <server-ip>198.51.100.90</server-ip>
  <server-ip>2001:db8::90</server-ip>
  <server-hostname>office.example.com</server-hostname>
  <server><address>198.51.100.91</address><port>1514</port></server>
  <server><address>198.51.100.92</address></server>
  <manager><address>198.51.100.93</address><port>1514</port></manager>
  <address>203.0.113.9</address>
</client>
<syslog_output><server>203.0.113.9</server></syslog_output>
</ossec_config>
`

// TestManager: an agent that blocks its manager is alone.
func TestManager(t *testing.T) {
	home := newHome(t, map[string]string{"etc/ossec.conf": agent})
	refresh(t, home, office{}, noon)
	list, err := neverblock.List(home, config.Default().Whitelist, noon)
	if err != nil || len(list.Faults()) > 0 {
		t.Fatal(err, list.Faults())
	}
	for addr, want := range map[string]bool{
		"198.51.100.90": true, "2001:db8::90": true, "198.51.100.80": true, "198.51.100.91": true, "198.51.100.92": true, "198.51.100.93": true, "203.0.113.9": false,
	} {
		if match, ok := list.Match(netip.MustParseAddr(addr)); ok != want {
			t.Errorf("%s: got %v, %v, want %v", addr, match, ok, want)
		}
	}
}

func TestList(t *testing.T) {
	extra := filepath.Join(t.TempDir(), "extra")
	if err := os.WriteFile(extra, []byte("198.51.100.50\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	home := newHome(t, map[string]string{
		"etc/ossec.conf": sound, "etc/whitelist.d/b": "198.51.100.60 # six\n", "etc/whitelist.d/a": "198.51.100.70\n", "etc/whitelist.d/a~": "203.0.113.9\n",
	})
	settings := config.Default().Whitelist
	settings.Entries = []string{"198.51.100.40", "junk junk"}
	settings.Files = []string{extra, string(home) + "/none"}
	refresh(t, home, office{}, noon)
	list, err := neverblock.List(home, settings, noon)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"127.0.0.1":      "loopback 127.0.0.0/8 (built in)",
		"198.51.100.1":   "198.51.100.1 (etc/ossec.conf:3)",
		"198.51.100.17":  "198.51.100.16/28 (etc/ossec.conf:5)",
		"198.51.100.40":  "198.51.100.40 (etc/active-response.toml: whitelist.entries)",
		"198.51.100.50":  "198.51.100.50 (" + extra + ":1)",
		"198.51.100.60":  "198.51.100.60 (etc/whitelist.d/b:1)",
		"198.51.100.70":  "198.51.100.70 (etc/whitelist.d/a:1)",
		"198.51.100.80":  "office.example.com (etc/ossec.conf:11)",
		"203.0.113.9":    "",
		"198.51.100.2":   "",
		"198.51.100.200": "",
	} {
		match, ok := list.Match(netip.MustParseAddr(addr))
		if got := strings.ReplaceAll(match.String(), string(home)+"/", ""); ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %s, %v, want %q", addr, got, ok, want)
		}
	}
	faults := fmt.Sprint(list.Faults())
	for _, want := range []string{"etc/ossec.conf:4: whitelist entry", `whitelist.entries: whitelist entry "junk junk"`, "open " + string(home) + "/none"} {
		if !strings.Contains(faults, want) {
			t.Errorf("faults are %s, want %q among them", faults, want)
		}
	}
}

func TestSwitches(t *testing.T) {
	home := newHome(t, map[string]string{"etc/ossec.conf": sound + agent})
	refresh(t, home, office{}, noon)
	for _, test := range []struct {
		name   string
		change func(*config.Whitelist)
		addr   string
	}{
		{"loopback", func(w *config.Whitelist) { w.Loopback, w.OwnAddresses, w.Broadcast = false, false, false }, "127.8.9.1"},
		{"unspecified", func(w *config.Whitelist) { w.Unspecified = false }, "0.1.2.3"},
		{"multicast", func(w *config.Whitelist) { w.Multicast = false }, "ff02::1"},
		{"broadcast", func(w *config.Whitelist) { w.Broadcast = false }, "255.255.255.255"},
		{"names", func(w *config.Whitelist) { w.ResolveNames = false }, "198.51.100.80"},
		{"manager", func(w *config.Whitelist) { w.Manager = false }, "198.51.100.90"},
		{"metadata", func(w *config.Whitelist) { w.Metadata = false }, "169.254.169.254"},
		{"translated", func(w *config.Whitelist) { w.Translated = false }, "64:ff9b::198.51.100.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			covered := func(settings config.Whitelist) bool {
				list, err := neverblock.List(home, settings, noon)
				if err != nil {
					t.Fatal(err)
				}
				_, ok := list.Match(netip.MustParseAddr(test.addr))
				return ok
			}
			settings := config.Default().Whitelist
			if !covered(settings) {
				t.Errorf("%s is not covered by default", test.addr)
			}
			test.change(&settings)
			if covered(settings) {
				t.Errorf("%s is covered though it is switched off", test.addr)
			}
		})
	}
}

// TestConf: when ossec.conf can't be read at all, that is an error, and the rest counts.
func TestConf(t *testing.T) {
	for _, test := range []struct {
		name, conf string
		err        string // "" for none
		found      bool   // 198.51.100.1
	}{
		{"sound", sound, "", true},
		{"missing", "", "", false},
		{"a slip in it", strings.Replace(sound, "<email_to>", "<email_to", 1), "", true},
		{"cut off", sound[:strings.Index(sound, "<allow_list>")], "", true},
		{"nothing that can be read", "<<<<", "not well-formed", false},
		{"a folder", "/", "is a directory", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := newHome(t, map[string]string{"etc/whitelist.d/a": "198.51.100.70\n"})
			if test.conf == "/" {
				if err := os.Mkdir(home.Conf(), 0o700); err != nil {
					t.Fatal(err)
				}
			} else if test.conf != "" {
				if err := os.WriteFile(home.Conf(), []byte(test.conf), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			list, err := neverblock.List(home, config.Default().Whitelist, noon)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error is %v, want %q", err, test.err)
			}
			if _, ok := list.Match(netip.MustParseAddr("198.51.100.1")); ok != test.found {
				t.Errorf("198.51.100.1 is covered: %v, want %v", ok, test.found)
			}
			if _, ok := list.Match(netip.MustParseAddr("198.51.100.70")); !ok {
				t.Error("whitelist.d does not count")
			}
		})
	}
}
