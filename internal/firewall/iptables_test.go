package firewall

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/firewall/faketables"
)

func TestMain(m *testing.M) {
	if slices.Contains(faketables.Programs, filepath.Base(os.Args[0])) {
		status := faketables.Main(os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		syscall.Exit(status) // os.Exit would sleep a second under the race detector
	}
	os.Exit(m.Run())
}

// tools makes a folder with the named programs in it, all of them the fake.
func tools(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Link(self, filepath.Join(dir, name)); err != nil {
			data, rerr := os.ReadFile(self) // another file system
			if err = errors.Join(rerr, os.WriteFile(filepath.Join(dir, name), data, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func enforcerOn(dir string, change ...func(*Options)) *Firewall {
	opts := Options{Backend: IPTables, Target: "DROP", Forward: "never", Timeout: time.Minute, ToolDirs: []string{dir}, LockPath: filepath.Join(dir, "lock")}
	for _, c := range change {
		c(&opts)
	}
	e, err := New(opts)
	if err != nil {
		panic(err)
	}
	return e
}

// call runs one of the programs as an administrator would.
func call(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := osexec.Command(filepath.Join(dir, name), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

var addr = netip.MustParseAddr("203.0.113.7")

func block(t *testing.T, e *Firewall, a netip.Addr, fresh bool) {
	t.Helper()
	if _, err := e.Block(t.Context(), a, fresh); err != nil {
		t.Fatal(err)
	}
}

func TestContractOnFake(t *testing.T) {
	for _, target := range []string{"DROP", "REJECT"} {
		t.Run(target, func(t *testing.T) {
			dir := tools(t, faketables.Programs...)
			enforcertest.Contract(t, enforcerOn(dir, func(o *Options) { o.Target = target }))
		})
	}
}

func TestContractWithoutRestore(t *testing.T) {
	enforcertest.Contract(t, enforcerOn(tools(t, "iptables", "ip6tables")))
}

func TestBlockMakesChainAndJumpAgain(t *testing.T) {
	dir := tools(t, faketables.Programs...)
	e := enforcerOn(dir)
	block(t, e, addr, false)
	for _, damage := range [][]string{{"-F", "INPUT"}, {"-F", Chain}} {
		call(t, dir, "iptables", damage...)
		block(t, e, addr, false)
		got := call(t, dir, "iptables", "-S", "INPUT") + call(t, dir, "iptables", "-S", Chain)
		want := "-N INPUT\n-A INPUT -c 0 0 -j OSSEC_AR\n-N OSSEC_AR\n-A OSSEC_AR -s 203.0.113.7/32 -c 0 0 -j DROP\n"
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("after iptables %s and a Block (-want +got):\n%s", strings.Join(damage, " "), d)
		}
	}
}

func TestBlockTakesOneRunWhenAllIsThere(t *testing.T) {
	dir := tools(t, faketables.Programs...)
	e := enforcerOn(dir)
	block(t, e, addr, false)
	runs := func() int {
		data, err := os.ReadFile(filepath.Join(dir, "iptables.state"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(data), `"iptables`)
	}
	before := runs()
	block(t, e, netip.MustParseAddr("203.0.113.8"), true)
	if got := runs() - before; got != 1 {
		t.Errorf("%d runs of programs, want 1", got)
	}
}

func TestForward(t *testing.T) {
	for _, tt := range []struct {
		name, setting, sysctl string
		docker                string // what is there of Docker
		want                  []string
	}{
		{"auto, router", "auto", "1\n", "", []string{"INPUT", "FORWARD"}},
		{"auto, docker", "auto", "1\n", "-N DOCKER-USER; -I FORWARD -j DOCKER-USER", []string{"INPUT", "DOCKER-USER"}},
		{"auto, docker is gone, or FORWARD was flushed", "auto", "1\n", "-N DOCKER-USER", []string{"INPUT", "FORWARD"}},
		{"always", "always", "0\n", "", []string{"INPUT", "FORWARD"}},
		{"never", "never", "1\n", "-N DOCKER-USER; -I FORWARD -j DOCKER-USER", []string{"INPUT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tools(t, faketables.Programs...)
			proc := t.TempDir()
			if err := errors.Join(os.MkdirAll(proc+"/sys/net/ipv4", 0o755), os.WriteFile(proc+"/sys/net/ipv4/ip_forward", []byte(tt.sysctl), 0o644)); err != nil {
				t.Fatal(err)
			}
			for command := range strings.SplitSeq(tt.docker, "; ") {
				if command != "" {
					call(t, dir, "iptables", strings.Fields(command)...)
				}
			}
			e := enforcerOn(dir, func(o *Options) { o.Forward, o.Proc = tt.setting, proc })
			block(t, e, addr, false)
			block(t, e, addr, false)
			all := call(t, dir, "iptables", "-S")
			for _, chain := range []string{"INPUT", "FORWARD", "DOCKER-USER", "OUTPUT"} {
				want := 0
				if slices.Contains(tt.want, chain) {
					want = 1
				}
				if got := strings.Count(all, "-A "+chain+" -c 0 0 -j OSSEC_AR"); got != want {
					t.Errorf("%d jumps from %s, want %d", got, chain, want)
				}
			}
		})
	}
}

func TestUnblockRemovesDuplicatesAndOtherTargetsOnly(t *testing.T) {
	dir := tools(t, faketables.Programs...)
	e := enforcerOn(dir)
	block(t, e, addr, false)
	for _, rule := range []string{
		"-s 203.0.113.7 -j DROP",
		"-s 203.0.113.7 -j REJECT",
		"-s 203.0.113.7 -p tcp -j DROP",
		"-s 203.0.113.0/24 -j DROP",
	} {
		call(t, dir, "iptables", append([]string{"-A", Chain}, strings.Fields(rule)...)...)
	}
	if err := e.Unblock(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	want := "-N OSSEC_AR\n-A OSSEC_AR -s 203.0.113.7/32 -p tcp -c 0 0 -j DROP\n-A OSSEC_AR -s 203.0.113.0/24 -c 0 0 -j DROP\n"
	if d := cmp.Diff(want, call(t, dir, "iptables", "-S", Chain)); d != "" {
		t.Errorf("chain after Unblock (-want +got):\n%s", d)
	}
}

func TestWithoutIP6Tables(t *testing.T) {
	e := enforcerOn(tools(t, "iptables", "iptables-restore"))
	block(t, e, addr, false)
	_, err := e.Block(t.Context(), netip.MustParseAddr("2001:db8::7"), false)
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "adding rule for 2001:db8::7: ip6tables in ") {
		t.Errorf("Block(IPv6) = %v, want that ip6tables is not found", err)
	}
	if blocks, err := e.List(t.Context()); err != nil || len(blocks) != 1 {
		t.Errorf("List = %v, %v; want the IPv4 block", blocks, err)
	}
}

func TestFailureIsToldInTheProgramsWords(t *testing.T) {
	dir := tools(t, faketables.Programs...)
	if err := os.WriteFile(filepath.Join(dir, "broken"), []byte("Resource temporarily unavailable"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := enforcerOn(dir)
	_, err := e.Block(t.Context(), addr, true)
	if err == nil || !strings.Contains(err.Error(), "Resource temporarily unavailable") {
		t.Errorf("Block = %v", err)
	}
	if err := e.Unblock(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "Resource temporarily unavailable") {
		t.Errorf("Unblock = %v", err)
	}
}

// script makes a shell script stand for a program.
func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestHangingProgramsAreKilled(t *testing.T) {
	for _, tt := range []struct{ name, restore, iptables string }{
		{"iptables-restore", "exec sleep 600", "exec sleep 600"},
		{"iptables only", "exit 1", "exec sleep 600"},
		{"with a child that holds the pipe", "sleep 180 & wait", "sleep 180 & wait"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			script(t, dir, "iptables-restore", tt.restore)
			script(t, dir, "iptables", tt.iptables)
			e := enforcerOn(dir, func(o *Options) { o.Timeout = 300 * time.Millisecond })
			started := time.Now()
			if _, err := e.Block(t.Context(), addr, true); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Errorf("Block = %v, want that the program was killed", err)
			}
			if took := time.Since(started); took > time.Minute {
				t.Errorf("Block took %s", took)
			}
		})
	}
}

func TestFloodOnStderrIsCutOff(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "iptables", "head -c 5000000 /dev/zero | tr '\\0' x >&2; exit 4")
	e := enforcerOn(dir)
	err := e.Unblock(t.Context(), addr)
	if err == nil || len(err.Error()) > 5000 {
		t.Errorf("Unblock: error of %d bytes, want one that is cut off", len(err.Error()))
	}
}

// TestEndlessFloodIsCutOff: iptables goes by its version and then writes until it is killed.
func TestEndlessFloodIsCutOff(t *testing.T) {
	for _, stream := range []string{"", ">&2"} {
		dir := t.TempDir()
		script(t, dir, "iptables", `PATH=/usr/bin:/bin
case "$*" in
*--version*) echo "iptables v1.8.9 (nf_tables)" ;;
*) exec yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx `+stream+` ;;
esac`)
		e := enforcerOn(dir, func(o *Options) { o.Timeout = time.Second })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for name, err := range map[string]error{
			"Block":   func() error { _, err := e.Block(t.Context(), addr, true); return err }(),
			"Unblock": e.Unblock(t.Context(), addr),
		} {
			if err == nil || len(err.Error()) > 5000 {
				t.Errorf("%s with a flood %s: %.100v", name, stream, err)
			}
		}
		runtime.ReadMemStats(&after)
		if grown := (int64(after.HeapSys) - int64(before.HeapSys)) >> 20; grown > 300 {
			t.Errorf("with a flood %s the heap grew by %d MiB", stream, grown)
		}
	}
}
