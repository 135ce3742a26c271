package neverblock_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// server is a name server that answers each name alike.
type server struct {
	addrs []netip.Addr
	err   error
}

func (s server) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return slices.Clone(s.addrs), s.err
}

func answering(texts ...string) server {
	var s server
	for _, text := range texts {
		s.addrs = append(s.addrs, netip.MustParseAddr(text))
	}
	return s
}

var (
	silent  = server{err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}
	unknown = server{err: &net.DNSError{Err: "no such host", IsNotFound: true}}
)

// covered returns which of two addresses the whitelist covers at a time.
func covered(t *testing.T, home ossec.Home, now time.Time) string {
	t.Helper()
	list, err := neverblock.List(home, config.Default().Whitelist, now)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, text := range []string{"198.51.100.80", "198.51.100.81"} {
		if _, ok := list.Match(netip.MustParseAddr(text)); ok {
			out = append(out, text[len(text)-2:])
		}
	}
	for _, fault := range list.Faults() {
		t.Error(fault)
	}
	return strings.Join(out, " ")
}

// TestNamesAreRemembered: the last answer counts as long as no other comes, and what it lacks of the
// one before for an hour.
func TestNamesAreRemembered(t *testing.T) {
	home := newHome(t, map[string]string{"etc/whitelist.d/office": "office.example.com\n"})
	now := noon
	for _, step := range []struct {
		name     string
		after    time.Duration
		resolver neverblock.Resolver // nil: nobody asks
		want     string
	}{
		{"never asked for", 0, nil, ""},
		{"silent from the start", time.Minute, silent, ""},
		{"an answer", time.Minute, answering("198.51.100.80"), "80"},
		{"silent", time.Minute, silent, "80"},
		{"silent for a month", 30 * 24 * time.Hour, silent, "80"},
		{"maintain does not run", 30 * 24 * time.Hour, nil, "80"},
		{"another address", time.Minute, answering("::ffff:198.51.100.81"), "80 81"},
		{"silent", 58 * time.Minute, silent, "80 81"},
		{"an hour later", 2 * time.Minute, nil, "81"},
		{"back again", time.Minute, answering("198.51.100.80", "198.51.100.81"), "80 81"},
		{"gone", time.Minute, unknown, "80 81"},
		{"gone, half an hour later", 30 * time.Minute, unknown, "80 81"},
		{"gone, an hour later", 30 * time.Minute, unknown, ""},
	} {
		now = now.Add(step.after)
		if step.resolver != nil {
			refresh(t, home, step.resolver, now)
		}
		if got := covered(t, home, now); got != step.want {
			t.Fatalf("%s: covered %q, want %q", step.name, got, step.want)
		}
	}
}

func TestRefresh(t *testing.T) {
	home := newHome(t, map[string]string{"etc/whitelist.d/office": "198.51.100.1\n"})
	path := filepath.Join(home.State(), "names.json")
	if names := refresh(t, home, answering("198.51.100.80"), noon); len(names) > 0 {
		t.Errorf("no names: remembered %v", names)
	}
	if _, err := os.Lstat(home.State()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no names: the state folder was made (%v)", err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(string(home)+"/etc/whitelist.d/office", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeffoffice.example.com\nother.example.com\n")
	if names := refresh(t, home, office{}, noon); len(names["office.example.com"].At(noon)) != 1 || names["other.example.com"].Fault == "" {
		t.Errorf("remembered %v", names)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%s: %v, %v", path, info, err)
	}
	write("office.example.com\n")
	if names := refresh(t, home, silent, noon); len(names) != 1 {
		t.Errorf("a name that left the whitelist is remembered: %v", names)
	}
	// a damaged file is a fault, and is made anew
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := neverblock.List(home, config.Default().Whitelist, noon)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		list.Match(netip.MustParseAddr("198.51.100.80"))
	}
	if faults := list.Faults(); len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "reading the addresses of host names: ") {
		t.Errorf("faults %q", faults)
	}
	refresh(t, home, office{}, noon)
	if got := covered(t, home, noon); got != "80" {
		t.Errorf("covered %q", got)
	}
	// switched off, nothing is asked
	settings := config.Default().Whitelist
	settings.ResolveNames = false
	if names, err := neverblock.Refresh(t.Context(), home, settings, nil, noon); names != nil || err != nil {
		t.Errorf("switched off: %v, %v", names, err)
	}
}

// TestForgedNames: what others could have put in the place of the state folder is not believed.
func TestForgedNames(t *testing.T) {
	home := ossec.Home(t.TempDir())
	file := filepath.Join(home.State(), "names.json")
	forged := `{"a.example":{"addresses":["198.51.100.80"],"asked":"2026-11-23T03:27:57Z"}}`
	if err := errors.Join(os.MkdirAll(home.State(), 0o755), os.Chmod(home.State(), 0o775),
		os.WriteFile(file, []byte(forged), 0o644)); err != nil {
		t.Fatal(err)
	}
	names, err := neverblock.Names(home)
	if len(names) > 0 || err == nil || !strings.Contains(err.Error(), "is not used") {
		t.Errorf("%v, %v", names, err)
	}
}

// TestManyAddresses: a name server that lies fills neither memory nor disk.
func TestManyAddresses(t *testing.T) {
	home := newHome(t, map[string]string{"etc/whitelist.d/office": "office.example.com\n"})
	for round := range 3 {
		var s server
		for i := range 5000 {
			s.addrs = append(s.addrs, netip.AddrFrom4([4]byte{203, byte(round), byte(i >> 8), byte(i)}))
		}
		if n := len(refresh(t, home, s, noon)["office.example.com"].Addresses); n != 256 {
			t.Errorf("%d addresses are remembered, want 256", n)
		}
	}
}

// TestNamesOfStrangers: however many names stand where others than root can write, and whatever a name
// server says of them, those of root's files are asked for first and stay remembered.
func TestNamesOfStrangers(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "a%d.example.net\n", i)
	}
	files := map[string]string{
		"etc/ossec.conf": "<ossec_config><global><white_list>a.example.net</white_list></global></ossec_config>",
	}
	for i := range 16 {
		files[fmt.Sprintf("etc/whitelist.d/%d", i)] = strings.ReplaceAll(many.String(), "a", string(rune('a'+i)))
	}
	home := newHome(t, files)
	if err := os.Chmod(string(home)+"/etc", 0o777); err != nil {
		t.Fatal(err)
	}
	settings := config.Default().Whitelist
	settings.Entries, settings.Strange = []string{"zz.example.com"}, []string{"b.example.net"}
	list, err := neverblock.List(home, settings, noon)
	if err != nil {
		t.Fatal(err)
	}
	if names := list.HostNames(); len(names) != 16_003 || names[0] != "zz.example.com" {
		t.Errorf("of %d names the first is %s", len(names), names[0])
	}
	var lies server
	for i := range 256 {
		lies.addrs = append(lies.addrs, netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i), 15: 255}))
	}
	for range 2 {
		if _, err := neverblock.Refresh(t.Context(), home, settings, lies, noon); err != nil {
			t.Fatal(err)
		}
		names, err := neverblock.Names(home)
		if err != nil || len(names["zz.example.com"].At(noon)) != 256 {
			t.Fatalf("%d names are remembered, %v", len(names), err)
		}
	}
}

// stuck never answers for some names, whatever the context says.
type stuck struct{ never chan struct{} }

func (s stuck) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	if strings.HasPrefix(name, "slow") {
		<-s.never
	}
	return office{}.LookupNetIP(ctx, network, name)
}

// TestSlowResolver: a name server that never answers costs the time that is set and no more, and
// hides no answer of a name before, however many come after it.
func TestSlowResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // with a clock of its own
		never := make(chan struct{})
		defer close(never)
		names := []string{"office.example.com"}
		for i := range 5000 {
			names = append(names, fmt.Sprintf("slow%d.example.com", i))
		}
		start := time.Now()
		answers := neverblock.Ask(t.Context(), stuck{never}, names, 3*time.Second)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("it took %s", took)
		}
		if len(answers[0].Addrs) != 1 || answers[0].Err != nil || answers[50].Err == nil || answers[50].Err.Error() != "no answer within 3s" {
			t.Errorf("answers %v, ..., %v", answers[0], answers[50])
		}
	})
}
