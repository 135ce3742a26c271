package firewall

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// These tests run on programs and a kernel that are stand-ins; e2e/kernel runs on the real ones.

func TestMain(m *testing.M) {
	if slices.Contains(slices.Concat(fakePrograms, strayPrograms), filepath.Base(os.Args[0])) {
		status := fakeMain(os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		syscall.Exit(status) // os.Exit would sleep a second under the race detector
	}
	os.Exit(m.Run())
}

// fakeHost is one with stand-ins.
type fakeHost struct {
	t      *testing.T
	dir    string // of the programs
	proc   string
	kernel *fakeKernel
}

// newHost has the programs with that name in their file, which says what variant they are.
func newHost(t *testing.T, multi string, programs ...string) fakeHost {
	t.Helper()
	h := fakeHost{t, t.TempDir(), t.TempDir(), newFakeKernel()}
	self, err := os.Executable()
	if err == nil {
		if err = os.Link(self, filepath.Join(h.dir, multi)); err != nil { // another file system
			var data []byte
			if data, err = os.ReadFile(self); err == nil {
				err = os.WriteFile(filepath.Join(h.dir, multi), data, 0o755)
			}
		}
	}
	for _, name := range programs {
		err = errors.Join(err, os.Symlink(multi, filepath.Join(h.dir, name)))
	}
	if err = errors.Join(err, os.MkdirAll(filepath.Join(h.proc, "net"), 0o755)); err != nil {
		t.Fatal(err)
	}
	h.write("net/if_inet6", "")
	return h
}

func (h fakeHost) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.proc, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755),
		os.WriteFile(path, []byte(text), 0o644)); err != nil {
		h.t.Fatal(err)
	}
}

func (h fakeHost) firewall(backend string, change ...func(*Options)) *Firewall {
	h.t.Helper()
	opts := Options{
		Backend: backend, Target: "DROP", Forward: "never", Timeout: time.Minute,
		MaxRules: 2, MaxAddresses: 1000,
		ToolDirs: []string{h.dir}, LockPath: filepath.Join(h.dir, "lock"), Proc: h.proc,
	}
	for _, c := range change {
		c(&opts)
	}
	e, err := New(opts)
	if err != nil {
		h.t.Fatal(err)
	}
	e.socket = h.kernel
	return e
}

// run runs a program as an administrator would, its words separated by blanks.
func (h fakeHost) run(command string) string {
	h.t.Helper()
	words := strings.Fields(command)
	out, err := exec.Command(h.t.Context(), filepath.Join(h.dir, words[0]), "", words[1:]...)
	if err != nil {
		h.t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

// commands returns what was asked of a family's programs.
func (h fakeHost) commands(family string) []string {
	return load(filepath.Join(h.dir, family+".contents")).Commands
}

// breaks makes every run of a family's programs fail with that status; 0 ends that.
func (h fakeHost) breaks(family, status string) {
	h.t.Helper()
	err := os.WriteFile(filepath.Join(h.dir, family+".broken"), []byte(status), 0o600)
	if status == "" {
		err = os.Remove(filepath.Join(h.dir, family+".broken"))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

var v4, v6 = target.MustParse("203.0.113.7"), target.MustParse("2001:db8::7")

func addr(i int) target.Target { return target.Of(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})) }

func must[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func block(t *testing.T, e *Firewall, a target.Target, known enforcer.Known) enforcer.Outcome {
	t.Helper()
	out, err := e.Block(t.Context(), a, known)
	return must(t, out, err)
}

func list(t *testing.T, e *Firewall) enforcer.Listing {
	t.Helper()
	l, err := e.List(t.Context())
	return must(t, l, err)
}

// withTable makes the table of our own, which takes the real kernel to make.
func withTable(h fakeHost) fakeHost {
	var rules kernelRules
	for _, set := range nftSets {
		protocol := byte(unix.NFPROTO_IPV4)
		if set.v6 {
			protocol = unix.NFPROTO_IPV6
		}
		h.kernel.tables[set.name()] = &fakeSet{members: map[target.Target]bool{}, size: 1000,
			keyBytes: set.bytes()}
		rules.add(loadMeta(unix.NFT_META_NFPROTO), equals([]byte{protocol}), loadSource(set.bytes()),
			lookup(set.name()), verdict(0, ""))
	}
	h.kernel.chains[nftTableName] = map[string][]byte{"input": rules.Attributes} // nothing is forwarded
	return h
}

// withStrays is a host whose iptables is over nf_tables, with that of legacy beside it.
func withStrays(t *testing.T) fakeHost {
	t.Helper()
	h := newHost(t, "xtables-nft-multi", fakePrograms...)
	other := newHost(t, "xtables-legacy-multi", strayPrograms...)
	for _, name := range strayPrograms {
		if err := os.Symlink(filepath.Join(other.dir, name), filepath.Join(h.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func findings(t *testing.T, e *Firewall) string {
	t.Helper()
	var text strings.Builder
	for _, f := range e.Inspect(t.Context(), "") {
		text.WriteString(string(f.Verdict) + " " + f.What + ": " + f.Found + " -> " + f.Mend + "\n")
	}
	return text.String()
}
