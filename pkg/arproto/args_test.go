package arproto_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

var compareAddr = cmpopts.EquateComparable(netip.Addr{})

func TestParseArgs(t *testing.T) {
	v4, v6 := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::7")
	for _, test := range []struct {
		name string
		args []string
		want arproto.Request
	}{
		{"all that a daemon passes", []string{"add", "root", "203.0.113.7", "1304756247.60385", "5712", "web->/var/log/auth.log", "/etc/passwd"},
			arproto.Request{Action: arproto.Add, Addr: v4, User: "root", AlertID: "1304756247.60385", RuleID: "5712", Location: "web->/var/log/auth.log", Filename: "/etc/passwd"}},
		{"delete, nothing but the address expected", []string{"delete", "-", "2001:DB8:0::7", "1304756247.60385", "5712", "/var/log/auth.log", "-"},
			arproto.Request{Action: arproto.Delete, Addr: v6, AlertID: "1304756247.60385", RuleID: "5712", Location: "/var/log/auth.log"}},
		{"unused filename as (null)", []string{"add", "(null)", "203.0.113.7", "1.2", "5712", "web", "(null)"},
			arproto.Request{Action: arproto.Add, Addr: v4, AlertID: "1.2", RuleID: "5712", Location: "web"}},
		{"a location of several words", []string{"add", "-", "203.0.113.7", "1.2", "5712", "(web", "server)", "10.0.0.1->C:\\log", "file.txt", "-"},
			arproto.Request{Action: arproto.Add, Addr: v4, AlertID: "1.2", RuleID: "5712", Location: "(web server) 10.0.0.1->C:\\log file.txt"}},
		{"a location of several words and a filename", []string{"add", "-", "203.0.113.7", "1.2", "5712", "web", "server", "/etc/shadow"},
			arproto.Request{Action: arproto.Add, Addr: v4, AlertID: "1.2", RuleID: "5712", Location: "web server", Filename: "/etc/shadow"}},
		{"a location without a filename", []string{"add", "-", "203.0.113.7", "1.2", "5712", "web"},
			arproto.Request{Action: arproto.Add, Addr: v4, AlertID: "1.2", RuleID: "5712", Location: "web"}},
		{"an old agent: no location", []string{"add", "-", "203.0.113.7", "1.2", "5712"},
			arproto.Request{Action: arproto.Add, Addr: v4, AlertID: "1.2", RuleID: "5712"}},
		{"an older agent: no rule", []string{"add", "-", "203.0.113.7", "1.2"},
			arproto.Request{Action: arproto.Add, Addr: v4, AlertID: "1.2"}},
		{"the oldest: no alert", []string{"delete", "-", "203.0.113.7"},
			arproto.Request{Action: arproto.Delete, Addr: v4}},
		{"by hand through agent_control", []string{"add", "-", "203.0.113.7", "(from_the_server)", "(no_rule_id)"},
			arproto.Request{Action: arproto.Add, Addr: v4, ByHand: true}},
		{"an IPv4 address as IPv6", []string{"add", "-", "::ffff:203.0.113.7", "-", "-"},
			arproto.Request{Action: arproto.Add, Addr: v4}},
		{"a command that expects a user only", []string{"add", "mallory", "-", "1.2", "5712"},
			arproto.Request{Action: arproto.Add, User: "mallory", AlertID: "1.2", RuleID: "5712"}},
		{"a user that looks like an option", []string{"add", "--dry-run", "203.0.113.7"},
			arproto.Request{Action: arproto.Add, Addr: v4, User: "--dry-run"}},
		{"texts are as they arrived", []string{"add", "a\nb", "203.0.113.7", "1\x1b[2J", "\xff"},
			arproto.Request{Action: arproto.Add, Addr: v4, User: "a\nb", AlertID: "1\x1b[2J", RuleID: "\xff"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := arproto.ParseArgs(test.args)
			if err != nil {
				t.Fatalf("ParseArgs(%q): %v", test.args, err)
			}
			if d := cmp.Diff(&test.want, got, compareAddr); d != "" {
				t.Errorf("ParseArgs(%q) (-want +got):\n%s", test.args, d)
			}
		})
	}
}

func TestParseArgsRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string // in the error
		// What is returned all the same, for the log.
		rule string
	}{
		{"nothing", nil, "no request", ""},
		{"an action alone", []string{"add"}, "too few arguments (1)", ""},
		{"no address", []string{"add", "root"}, "too few arguments (2)", ""},
		{"an unknown action", []string{"block", "-", "203.0.113.7", "1.2", "5712"}, `unknown action "block"`, "5712"},
		{"an action in capitals", []string{"ADD", "-", "203.0.113.7", "1.2", "5712"}, `unknown action "ADD"`, "5712"},
		{"an empty action", []string{"", "-", "203.0.113.7", "1.2", "5712"}, `unknown action ""`, "5712"},
		{"a host name", []string{"add", "-", "evil.example.com", "1.2", "5712"}, `address "evil.example.com": not an IPv4 or IPv6 address`, "5712"},
		{"an empty address", []string{"delete", "-", "", "1.2", "5712"}, `address "": it is empty`, "5712"},
		{"an endless argument", []string{"add", strings.Repeat("a", 128<<10+1), "203.0.113.7", "1.2", "5712"}, "argument 2 is longer than 131072 bytes", "5712"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := arproto.ParseArgs(test.args)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
			if got == nil || got.RuleID != test.rule || got.Addr.IsValid() {
				t.Errorf("got %+v, want rule %q and no address", got, test.rule)
			}
		})
	}
	if _, err := arproto.ParseArgs([]string{}); !errors.Is(err, arproto.ErrNoRequest) {
		t.Errorf("no arguments: %v, want ErrNoRequest", err)
	}
}

func TestParseAddr(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"203.0.113.7", "203.0.113.7"},
		{"::ffff:203.0.113.7", "203.0.113.7"},
		{"::FFFF:CB00:7107", "203.0.113.7"},
		{"2001:0DB8:0000::0007", "2001:db8::7"},
		{"::203.0.113.7", "::cb00:7107"}, // the compatible form of old is another address
		{"::1", "::1"},
		// what decoders leave around an address
		{`203.0.113.7"`, "203.0.113.7"},
		{`"203.0.113.7`, "203.0.113.7"},
		{"'203.0.113.7'", "203.0.113.7"},
		{"'2001:db8::8'", "2001:db8::8"},
		{"203.0.113.7.", "203.0.113.7"},
		{`"203.0.113.7."`, "203.0.113.7"},
		{"2001:db8::8.", "2001:db8::8"},
		{"203.0.113.7:5678", "203.0.113.7"},
		{"203.0.113.7:65535", "203.0.113.7"},
		{"::ffff:203.0.113.7:5678", "203.0.113.7"},
		{"[2001:db8::8]:22", "2001:db8::8"},
		{"[2001:db8::8]", "2001:db8::8"},
		{"[::ffff:203.0.113.7]:22", "203.0.113.7"},
		{"[203.0.113.7]", "203.0.113.7"},
		{"[203.0.113.7]:25", "203.0.113.7"},
		{`"[2001:db8::8]:22".`, "2001:db8::8"},
		{" 203.0.113.7\t", "203.0.113.7"},
		{"203.0.113.7\r\n", "203.0.113.7"},
		{"2001:db8::8:22", "2001:db8::8:22"}, // an address, not one with a port
	} {
		got, err := arproto.ParseAddr(test.text)
		if err != nil || got.String() != test.want {
			t.Errorf("ParseAddr(%q) = %v, %v, want %s", test.text, got, err, test.want)
		}
	}
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "it is empty"},
		{"unspecified", "0.0.0.0", "stands for every host"},
		{"unspecified, IPv6", "::", "stands for every host"},
		{"unspecified, mapped", "::ffff:0.0.0.0", "stands for every host"},
		{"network", "203.0.113.0/24", "a network is never blocked"},
		{"one host as a network", "203.0.113.7/32", "a network is never blocked"},
		{"everything", "0.0.0.0/0", "a network is never blocked"},
		{"zone", "fe80::1%eth0", "a zone"},
		{"zone on a mapped address", "::ffff:203.0.113.7%x", "a zone"},
		{"name", "evil.example.com", "names are never resolved"},
		{"localhost", "localhost", "names are never resolved"},
		{"default", "default", "names are never resolved"},
		{"option", "-j", "not an IPv4"},
		{"shell", "203.0.113.7;reboot", "not an IPv4"},
		{"substitution", "$(reboot)", "not an IPv4"},
		{"NUL", "203.0.113.7\x00", "not an IPv4"},
		{"two", "203.0.113.7,203.0.113.8", "not an IPv4"},
		{"octal", "0313.0.113.7", "not an IPv4"},
		{"leading zero", "010.0.0.1", "not an IPv4"},
		{"one number", "3405803783", "not an IPv4"},
		{"hex", "0xcb007107", "not an IPv4"},
		{"three numbers", "203.0.113", "not an IPv4"},
		{"five numbers", "203.0.113.7.1", "not an IPv4"},
		{"too large", "203.0.113.256", "not an IPv4"},
		{"two gaps", "2001::db8::7", "not an IPv4"},
		{"two with a blank", "203.0.113.7 203.0.113.8", "not an IPv4"},
		{"two in brackets", "[2001:db8::7][2001:db8::8]", "not an IPv4"},
		{"two, the second as a port", "203.0.113.7:203.0.113.8", "not an IPv4"},
		{"two in quotes", "'203.0.113.7' '203.0.113.8'", "not an IPv4"},
		{"no port", "203.0.113.7:", "not an IPv4"},
		{"no such port", "203.0.113.7:65536", "not an IPv4"},
		{"a service", "203.0.113.7:ssh", "not an IPv4"},
		{"a signed port", "203.0.113.7:+22", "not an IPv4"},
		{"two ports", "203.0.113.7:22:22", "not an IPv4"},
		{"a port behind IPv6 with dots", "2001:db8::203.0.113.7:22", "not an IPv4"},
		{"a full port behind IPv6", "2001:db8:1:2:3:4:5:6:5678", "not an IPv4"},
		{"no port behind brackets", "[2001:db8::8]:", "not an IPv4"},
		{"something behind brackets", "[2001:db8::8]22", "not an IPv4"},
		{"an open bracket", "[2001:db8::8", "not an IPv4"},
		{"a closing bracket", "2001:db8::8]:22", "not an IPv4"},
		{"nothing in brackets", "[]:22", "not an IPv4"},
		{"two brackets", "[[2001:db8::8]]", "not an IPv4"},
		{"two full stops", "203.0.113.7..", "not an IPv4"},
		{"a full stop before", ".203.0.113.7", "not an IPv4"},
		{"only a full stop", ".", "not an IPv4"},
		{"only quotes", `""`, "not an IPv4"},
		{"a name with a port", "evil.example.com:22", "not an IPv4"},
		{"octal with a port", "010.0.0.1:22", "not an IPv4"},
		{"hex in quotes", "'0xcb007107'", "not an IPv4"},
		{"three numbers with a full stop", "203.0.113.", "not an IPv4"},
		{"one number with a port", "3405803783:22", "not an IPv4"},
		{"network in quotes", "'203.0.113.0/24'", "a network is never blocked"},
		{"network in brackets", "[2001:db8::]/32", "a network is never blocked"},
		{"zone in brackets", "[fe80::1%eth0]:22", "a zone"},
		{"unspecified with a port", "0.0.0.0:80", "stands for every host"},
		{"unspecified in brackets", "[::]:80", "stands for every host"},
		{"digits of another script", "２03.0.113.7", "not an IPv4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, err := arproto.ParseAddr(test.text)
			if addr.IsValid() {
				t.Errorf("ParseAddr(%q) = %s, want none", test.text, addr)
			}
			var refused *arproto.AddressError
			if !errors.As(err, &refused) || refused.Text != test.text || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseAddr(%q): %v, want an AddressError with %q", test.text, err, test.want)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "root", `"root"`},
		{"empty", "", `""`},
		{"blank", "a b", `"a\x20b"`},
		{"what would end or forge the quotes", `a"\`, `"a\x22\x5c"`},
		{"control and more than ASCII", "\n\x7fé", `"\x0a\x7f\xc3\xa9"`},
		{"64 bytes", strings.Repeat("a", 64), `"` + strings.Repeat("a", 64) + `"`},
		{"too long", strings.Repeat("a", 65), `"` + strings.Repeat("a", 64) + `..."`},
	} {
		if got := arproto.Quote(test.text); got != test.want {
			t.Errorf("%s: Quote(%q) = %s, want %s", test.name, test.text, got, test.want)
		}
	}
}

// checkRequest checks what holds of every request, whatever came in.
func checkRequest(t *testing.T, r *arproto.Request, err error) {
	t.Helper()
	if r == nil {
		t.Fatal("no Request")
	}
	if a := r.Addr; a.IsValid() && (a.Is4In6() || a.Zone() != "" || a.IsUnspecified()) {
		t.Errorf("address %s: mapped, with a zone, or unspecified", a)
	}
	if err == nil && r.Action != arproto.Add && r.Action != arproto.Delete {
		t.Errorf("action %q without an error", r.Action)
	}
	if err != nil && r.Addr.IsValid() {
		t.Errorf("address %s in spite of %v", r.Addr, err)
	}
	if err != nil && len(err.Error()) > 600 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
	if key := r.Key(); key != "-" && netip.MustParseAddr(key) != r.Addr {
		t.Errorf("key %q for address %s", key, r.Addr)
	}
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func FuzzParseArgs(f *testing.F) {
	for _, args := range []string{
		"add\x00-\x00203.0.113.7\x001304756247.60385\x005712\x00/var/log/auth.log\x00-",
		"delete\x00root\x002001:db8::7\x001.2\x005712\x00web\x00server\x00(null)",
		"add\x00-\x00::ffff:203.0.113.7", "add\x00-\x00fe80::1%eth0", "add\x00-\x00::\x00", "add", "", "x\x00\n\x00\xff",
	} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, joined string) {
		args := strings.Split(joined, "\x00")
		r, err := arproto.ParseArgs(args)
		checkRequest(t, r, err)
		if err != nil && !printable(err.Error()) {
			t.Errorf("the error shows raw bytes: %q", err)
		}
		if err == nil && r.Addr.IsValid() == (args[2] == "-") {
			t.Errorf("address %v from %q", r.Addr, args[2])
		}
	})
}

// FuzzParseAddr: each form of an address is that address, and a text with two is none.
func FuzzParseAddr(f *testing.F) {
	for _, text := range []string{
		"203.0.113.7", "2001:db8::8", "::ffff:203.0.113.7:22", "[2001:db8::8]:22", "203.0.113.7:203.0.113.8", "2001:db8::8]:[22",
		"[203.0.113.7]203.0.113.8", "'203.0.113.7'.\"", "203.0.113.7:0.0.0.1", "[::1][::2]:3", "1.2.3.4 5.6.7.8",
	} {
		f.Add(text, uint16(len(text)))
	}
	f.Fuzz(func(t *testing.T, text string, port uint16) {
		got, err := arproto.ParseAddr(text)
		if err != nil {
			if got.IsValid() {
				t.Errorf("%q: %s in spite of %v", text, got, err)
			}
			return
		}
		if n := addresses(text); n != 1 {
			t.Errorf("%q holds %d addresses and became %s", text, n, got)
		}
		bracketed := "[" + got.String() + "]"
		forms := []string{got.String(), bracketed, fmt.Sprintf("%s:%d", bracketed, port)}
		if got.Is4() {
			forms = append(forms, fmt.Sprintf("%s:%d", got, port), "::ffff:"+got.String())
		}
		for _, form := range forms {
			for _, around := range []string{"%s", "%s.", "'%s'", `"%s"`, `%s"`, " %s\t"} {
				written := fmt.Sprintf(around, form)
				if again, err := arproto.ParseAddr(written); err != nil || again != got {
					t.Errorf("%q: %v, %v, want %s", written, again, err, got)
				}
			}
		}
	})
}

// addresses counts the addresses that stand in a text side by side.
func addresses(text string) (n int) {
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF.:", c) }) {
		_, err := netip.ParseAddr(word)
		colon := strings.LastIndexByte(word, ':')
		switch {
		case err == nil:
			n++
		case strings.HasSuffix(word, "."):
			n += addresses(word[:len(word)-1])
		case colon >= 0:
			n += addresses(word[:colon]) + addresses(word[colon+1:])
		}
	}
	return n
}

func BenchmarkParseArgs(b *testing.B) {
	args := []string{"add", "-", "203.0.113.7", "1304756247.60385", "5712", "/var/log/auth.log", "-"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := arproto.ParseArgs(args); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAccountName(t *testing.T) {
	for user, want := range map[string]string{
		"mallory": "mallory", "mallory(uid=1001)": "mallory", "john.doe(uid=0)": "john.doe", "": "",
		"mallory(uid=)": "mallory(uid=)", "mallory(uid=x)": "mallory(uid=x)", "mallory(uid=1": "mallory(uid=1",
		"m(uid=1)(uid=2)": "m(uid=1)(uid=2)", "m(uid=-1)": "m(uid=-1)", "(uid=0)": "",
	} {
		if got := arproto.AccountName(user); got != want {
			t.Errorf("AccountName(%q) = %q, want %q", user, got, want)
		}
	}
}
