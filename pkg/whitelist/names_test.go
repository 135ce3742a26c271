package whitelist_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// resolver answers as a name server would.
type resolver func(ctx context.Context, name string) ([]netip.Addr, error)

func (r resolver) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	if network != "ip" {
		return nil, fmt.Errorf("asked for %s", network)
	}
	return r(ctx, name)
}

var zone = resolver(func(_ context.Context, name string) ([]netip.Addr, error) {
	switch name {
	case "office.example.com":
		return []netip.Addr{netip.MustParseAddr("2001:db8::5"), netip.MustParseAddr("::ffff:203.0.113.5")}, nil
	case "empty.example.com":
		return nil, &net.AddrError{Err: "no suitable address found", Addr: name}
	case "gone.example.com":
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return nil, errors.New("server misbehaving")
})

func TestHostNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	writeFile(t, file, "Office.Example.COM. # the office\n")
	for name, list := range map[string]*whitelist.List{
		"added":     {Resolver: zone},
		"in a file": {Resolver: zone},
	} {
		t.Run(name, func(t *testing.T) {
			source := "here:1"
			if name == "added" {
				_ = list.Add("^Office.Example.COM.$", source)
			} else {
				list.AddFile(file)
				source = file + ":1"
			}
			_ = list.Add("empty.example.com, gone.example.com, broken.example.com", "here:2") // two without an address: no fault
			for _, text := range []string{"203.0.113.5", "::ffff:203.0.113.5", "2001:db8::5"} {
				match, ok := list.Match(t.Context(), netip.MustParseAddr(text))
				if want := (whitelist.Match{Entry: "office.example.com", Source: source}); !ok || match != want {
					t.Errorf("%s: got %v, %v, want %v", text, match, ok, want)
				}
			}
			before := len(list.Faults())
			if match, ok := list.Match(t.Context(), netip.MustParseAddr("203.0.113.6")); ok {
				t.Errorf("203.0.113.6 is covered by %v", match)
			}
			faults := list.Faults()[before:]
			if want := `here:2: resolving whitelist entry "broken.example.com": server misbehaving`; len(faults) != 1 || faults[0].Error() != want {
				t.Errorf("Faults: %q, want %s", faults, want)
			}
		})
	}
}

// TestHostNamesAreAskedLast: no question is sent when a network covers the address, or
// when no resolver is set.
func TestHostNamesAreAskedLast(t *testing.T) {
	asked := 0
	list := whitelist.List{Resolver: resolver(func(context.Context, string) ([]netip.Addr, error) { asked++; return nil, nil })}
	_ = list.Add("office.example.com", "here:1")
	_ = list.Add("203.0.113.0/24", "here:2")
	if _, ok := list.Match(t.Context(), netip.MustParseAddr("203.0.113.5")); !ok || asked > 0 {
		t.Errorf("covered: %v, after %d questions; want true and none", ok, asked)
	}
	if _, ok := list.Match(t.Context(), netip.MustParseAddr("198.51.100.1")); ok || asked != 1 {
		t.Errorf("covered: %v, after %d questions; want false and one", ok, asked)
	}
	list.Resolver = nil
	if _, ok := list.Match(t.Context(), netip.MustParseAddr("198.51.100.1")); ok || len(list.Faults()) > 0 {
		t.Errorf("without a resolver: covered %v, %q", ok, list.Faults())
	}
}

// TestSlowResolver: a name server that never answers, whatever it is told, costs the
// deadline and no more, and hides no answer of another name.
func TestSlowResolver(t *testing.T) {
	for _, test := range []struct {
		name    string
		names   int
		timeout time.Duration
		addr    string
		covered bool
		took    time.Duration
	}{
		{"one name", 1, 0, "203.0.113.9", false, 500 * time.Millisecond},
		{"many names", 500, 2 * time.Second, "203.0.113.9", false, 2 * time.Second},
		{"beside one that answers", 3, time.Second, "203.0.113.5", true, 0},
		{"beside one that answers with others", 3, time.Second, "203.0.113.9", false, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // with a clock of its own
				never := make(chan struct{})
				defer close(never)
				list := whitelist.List{ResolveTimeout: test.timeout, Resolver: resolver(func(ctx context.Context, name string) ([]netip.Addr, error) {
					if strings.HasPrefix(name, "slow") {
						<-never // not even when ctx is done
					}
					return zone(ctx, name)
				})}
				for i := range test.names {
					_ = list.Add(fmt.Sprintf("slow%d.example.com", i), "here:1")
				}
				if strings.HasPrefix(test.name, "beside") {
					_ = list.Add("office.example.com", "here:2")
				}
				start := time.Now()
				_, covered := list.Match(t.Context(), netip.MustParseAddr(test.addr))
				if took := time.Since(start); covered != test.covered || took != test.took {
					t.Errorf("covered: %v after %s, want %v after %s", covered, took, test.covered, test.took)
				}
				faults := list.Faults()
				if test.covered != (len(faults) == 0) {
					t.Errorf("Faults: %q", faults)
				}
				if !test.covered && !strings.Contains(errors.Join(faults...).Error(), "not all answered within "+test.took.String()) {
					t.Errorf("Faults: %q, want the deadline told", faults)
				}
			})
		})
	}
}
