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

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
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

func TestContract(t *testing.T) {
	for _, backend := range []string{IPTables, IPSet, Auto} {
		for _, target := range []string{"DROP", "REJECT"} {
			t.Run(backend+"/"+target, func(t *testing.T) {
				h := newHost(t, "xtables-legacy-multi", fakePrograms...)
				enforcertest.Contract(t, h.firewall(backend, func(o *Options) { o.Target = target }))
			})
		}
	}
	t.Run("nftables", func(t *testing.T) {
		enforcertest.Contract(t, withTable(newHost(t, "none")).firewall(NFTables))
	})
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

// TestHotAdd: when all is as it should be, a rule takes one run of a program.
func TestHotAdd(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(Auto)
	if !block(t, e, v4, enforcer.Known{}).Made {
		t.Error("the first Block does not report that it made the place")
	}
	for _, tt := range []struct {
		known enforcer.Known
		want  []string
	}{
		{enforcer.Known{Others: 1},
			[]string{"iptables-restore -w 45 --noflush", "-C INPUT -j OSSEC_AR",
				"-A OSSEC_AR -s 203.0.113.8 -j DROP"}},
		{enforcer.Known{Leased: true, Others: 1},
			[]string{"iptables-restore -w 45 --noflush", "-C INPUT -j OSSEC_AR",
				"-C OSSEC_AR -s 203.0.113.8 -j DROP"}},
		{enforcer.Known{Leased: true, Others: 9},
			[]string{"iptables-restore -w 45 --noflush", "-C INPUT -j OSSEC_AR",
				"-C OSSEC_AR -s 203.0.113.8 -j DROP"}},
	} {
		before := len(h.commands("iptables"))
		if block(t, e, addr(8), tt.known).Made {
			t.Errorf("%+v: Block reports that it made the place", tt.known)
		}
		got := h.commands("iptables")[before:]
		got[0] = strings.Replace(got[0], "-w 44", "-w 45", 1)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.known, got, tt.want)
		}
	}
}

// TestAuto: a rule for each of the first, members of the set after that, wherever they are
// asked for again; rules where the set cannot be used.
func TestAuto(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(Auto)
	for i := range 4 {
		block(t, e, addr(i), enforcer.Known{Others: i})
	}
	set := h.kernel.sets["ossec_ar4"]
	if rules := h.run("iptables -S OSSEC_AR"); strings.Count(rules, " -s ") != 2 || set == nil ||
		len(set.members) != 2 || !set.members[addr(3)] {
		t.Errorf("rules\n%sset %+v, want two in each", rules, set)
	}
	block(t, e, addr(3), enforcer.Known{Leased: true, Others: 0})
	if rules := h.run("iptables -S OSSEC_AR"); strings.Count(rules, " -s ") != 2 {
		t.Errorf("a member became a rule:\n%s", rules)
	}
	if l := list(t, e); len(l.Blocks) != 4 || len(l.Faults) > 0 {
		t.Errorf("listed: %+v", l)
	}
	set.kind = "hash:net"
	out := block(t, e, addr(4), enforcer.Known{Others: 4})
	if len(out.Notes) != 1 ||
		!strings.Contains(out.Notes[0],
			"the set ossec_ar4 cannot be used, so all addresses become rules: adding 203.0.113.4 to set ossec_ar4: set ossec_ar4: somebody else made it (ipset destroy ossec_ar4 makes room for ours): it is of another kind") {
		t.Errorf("notes %q", out.Notes)
	}
	if err := e.BlockAll(t.Context(), []target.Target{addr(5)}); err != nil {
		t.Errorf("BlockAll: %v", err)
	}
	if set.members[addr(4)] || set.members[addr(5)] || len(list(t, e).Blocks) != 4 {
		t.Errorf("somebody else's set is written to or listed: %+v, %+v", set, list(t, e))
	}
	if err := errors.Join(e.Unblock(t.Context(), addr(4)), e.Flush(t.Context())); err != nil {
		t.Error(err)
	}
	if len(set.members) != 2 {
		t.Error("somebody else's set was emptied")
	}
}

// TestForeignSet: nothing is written to a set that somebody else made, and the error names it.
func TestForeignSet(t *testing.T) {
	for why, change := range map[string]func(*fakeSet){
		"it is of another kind": func(s *fakeSet) {
			s.family = unix.NFPROTO_IPV6
		},
		"it has a timeout, by which blocks end by themselves": func(s *fakeSet) { s.timeout = true },
	} {
		h := newHost(t, "xtables-legacy-multi", fakePrograms...)
		s := &fakeSet{kind: "hash:ip", family: unix.NFPROTO_IPV4, revision: 6, size: 9,
			members: map[target.Target]bool{v4: true}}
		change(s)
		h.kernel.sets["ossec_ar4"] = s
		e := h.firewall(IPSet)
		_, err := e.Block(t.Context(), addr(8), enforcer.Known{})
		for _, err := range []error{err, e.BlockAll(t.Context(), []target.Target{addr(8)})} {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("got %v, want %q", err, why)
			}
		}
		if _, err := e.Mend(t.Context()); err == nil {
			t.Error("Mend finds nothing wrong")
		}
		if err := errors.Join(e.Unblock(t.Context(), v4), e.UnblockAll(t.Context(), []target.Target{v4}),
			e.Flush(t.Context())); err != nil {
			t.Error(err)
		}
		if l := list(t, e); len(s.members) != 1 || len(l.Blocks) > 0 {
			t.Errorf("%s: the set has %d members, listed %+v", why, len(s.members), l)
		}
		if got := findings(t, e); !strings.Contains(got, why) {
			t.Errorf("Inspect: %s", got)
		}
	}
}

// TestFullSet: the error says so; Mend makes a set as large as it may be by now.
func TestFullSet(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(IPSet, func(o *Options) { o.MaxAddresses = 2 })
	block(t, e, addr(1), enforcer.Known{})
	block(t, e, addr(2), enforcer.Known{})
	_, err := e.Block(t.Context(), addr(3), enforcer.Known{})
	for _, err := range []error{err, e.BlockAll(t.Context(), []target.Target{addr(3)})} {
		if !errors.Is(err, enforcer.ErrFull) ||
			!strings.Contains(err.Error(), "firewall.max_addresses is 2") {
			t.Errorf("got %v", err)
		}
	}
	if got := findings(t, e); !strings.Contains(got, "set ossec_ar4 has 2 members") {
		t.Errorf("Inspect: %s", got)
	}
	larger := h.firewall(IPSet)
	if l := list(t, larger); len(l.Faults) != 1 {
		t.Errorf("faults %q", l.Faults)
	}
	changes, err := larger.Mend(t.Context())
	if err != nil || len(changes) != 1 {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	block(t, larger, addr(3), enforcer.Known{Others: 2})
	if l := list(t, larger); len(l.Blocks) != 3 || len(l.Faults) > 0 || len(h.kernel.sets) != 1 {
		t.Errorf("listed %+v, sets %v", l, h.kernel.sets)
	}
}

// TestMend: each damage is named, lets packets by, is mended once, and then all is well.
func TestMend(t *testing.T) {
	for _, tt := range []struct{ name, backend, damage, fault, change string }{
		{"no jump", IPTables, "iptables -F INPUT", "INPUT does not jump to OSSEC_AR",
			"made the jump in INPUT the first rule: INPUT does not jump to OSSEC_AR"},
		{"behind", IPTables, "iptables -I INPUT 1 -p tcp -j ACCEPT",
			"the jump in INPUT stands behind rule 1, which accepts",
			"made the jump in INPUT the first rule: the jump in INPUT stands behind rule 1, which accepts"},
		{"no set rule", IPSet, "iptables -F OSSEC_AR", "OSSEC_AR does not drop set ossec_ar4",
			"made OSSEC_AR drop set ossec_ar4"},
		{"of IPv6", IPTables, "ip6tables -F INPUT", "IPv6: INPUT does not jump to OSSEC_AR",
			"IPv6: made the jump in INPUT the first rule: INPUT does not jump to OSSEC_AR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, "xtables-legacy-multi", fakePrograms...)
			e := h.firewall(tt.backend)
			block(t, e, v4, enforcer.Known{})
			block(t, e, v6, enforcer.Known{})
			h.run(tt.damage)
			open := 0
			l := list(t, e)
			for _, b := range l.Blocks {
				if b.Open != "" {
					open++
				}
			}
			if open != 1 || !slices.Equal(l.Faults, []string{tt.fault}) {
				t.Errorf("%d are open, faults %q, want %q", open, l.Faults, tt.fault)
			}
			if got := findings(t, e); !strings.Contains(got, tt.fault[strings.LastIndex(tt.fault, ":")+1:]) {
				t.Errorf("Inspect: %s", got)
			}
			changes, err := e.Mend(t.Context())
			if err != nil || !slices.Equal(changes, []string{tt.change}) {
				t.Errorf("Mend: %q, %v, want %q", changes, err, tt.change)
			}
			changes, err = e.Mend(t.Context())
			if l := list(t, e); err != nil || len(changes)+len(l.Faults) > 0 || len(l.Blocks) != 2 {
				t.Errorf("Mend once more: %q, %v; listed %+v", changes, err, l)
			}
		})
	}
}

// TestMendOrder: a rule in our chain that accepts stays, behind all of ours.
func TestMendOrder(t *testing.T) {
	for _, backend := range []string{IPTables, IPSet, Auto} {
		for _, accept := range []string{"-m tcp -j RETURN", "-p tcp -j ACCEPT"} {
			h := newHost(t, "xtables-legacy-multi", fakePrograms...)
			e := h.firewall(backend, func(o *Options) { o.MaxRules = 1 })
			for i := range 3 {
				block(t, e, addr(i+1), enforcer.Known{Others: i})
			}
			h.run("iptables -I OSSEC_AR 1 " + accept)
			l := list(t, e)
			for _, b := range l.Blocks {
				if want := map[bool]string{true: "rule 1 of OSSEC_AR accepts", false: "OSSEC_AR does not drop set ossec_ar4"}[backend == IPTables || backend == Auto && b.Target == addr(1)]; b.Open != want {
					t.Errorf("%s: %s is open: %q, want %q", backend, b.Target, b.Open, want)
				}
			}
			if changes, err := e.Mend(t.Context()); err != nil || len(changes) == 0 {
				t.Errorf("%s: Mend: %q, %v", backend, changes, err)
			}
			if l := list(t, e); len(l.Faults) > 0 || len(l.Blocks) != 3 {
				t.Errorf("%s: after Mend: %+v", backend, l)
			}
			if got := h.run("iptables -S OSSEC_AR"); !strings.HasSuffix(strings.ReplaceAll(got, " -c 2 120", ""), "-A OSSEC_AR "+accept+"\n") {
				t.Errorf("%s: rules:\n%s", backend, got)
			}
		}
	}
}

// TestMoves: what another configuration left is listed, lifted, flushed, and moved by Mend.
func TestMoves(t *testing.T) {
	for _, tt := range []struct{ from, to string }{{IPTables, IPSet}, {IPSet, IPTables}, {IPSet, NFTables},
		{NFTables, IPTables}, {IPTables, NFTables}} {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			h := withTable(newHost(t, "xtables-legacy-multi", fakePrograms...))
			old, next := h.firewall(tt.from), h.firewall(tt.to)
			all := []target.Target{addr(1), addr(2), addr(3), v6}
			if err := old.BlockAll(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			if l := list(t, next); len(l.Blocks) != 4 || len(l.Faults) != 2 ||
				!strings.Contains(l.Faults[0], "3 addresses stand in ") {
				t.Errorf("listed %+v", l)
			}
			if err := errors.Join(next.Unblock(t.Context(), addr(1)),
				next.UnblockAll(t.Context(), all[1:2])); err != nil {
				t.Fatal(err)
			}
			changes, err := next.Mend(t.Context())
			if err != nil || len(changes) != 2 || !strings.Contains(changes[0], "moved 1 addresses from ") {
				t.Errorf("Mend: %q, %v", changes, err)
			}
			if l := list(t, next); len(l.Blocks) != 2 || len(l.Faults) > 0 {
				t.Errorf("after Mend: %+v", l)
			}
			if tt.from == IPSet && len(h.kernel.sets) > 0 {
				t.Errorf("sets are left: %v", h.kernel.sets)
			}
			if err := old.BlockAll(t.Context(), all); err != nil && tt.from != NFTables {
				t.Fatal(err)
			}
			if err := next.Flush(t.Context()); err != nil || len(list(t, old).Blocks) > 0 {
				t.Errorf("Flush: %v, listed %+v", err, list(t, old))
			}
		})
	}
}

// TestTarget: rules of another target are listed, and replaced by Mend.
func TestTarget(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	block(t, h.firewall(IPTables), v4, enforcer.Known{})
	e := h.firewall(IPTables, func(o *Options) { o.Target = "REJECT" })
	changes, err := e.Mend(t.Context())
	if err != nil || !slices.Equal(changes, []string{"1 rules now have the target REJECT"}) {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	if got := h.run("iptables -S OSSEC_AR"); strings.Count(got, "-j REJECT") != 1 ||
		strings.Contains(got, "DROP") {
		t.Errorf("rules:\n%s", got)
	}
}

// TestOneFamily: what is wrong with a family is its own affair.
func TestOneFamily(t *testing.T) {
	for name, harm := range map[string]func(h fakeHost){
		"no IPv6 in the kernel":    func(h fakeHost) { _ = os.Remove(filepath.Join(h.proc, "net/if_inet6")) },
		"no IPv6 in ip6tables":     func(h fakeHost) { h.breaks("ip6tables", "3") },
		"no ip6tables":             func(h fakeHost) { _ = os.Remove(filepath.Join(h.dir, "ip6tables")) },
		"no ip6tables-restore":     func(h fakeHost) { _ = os.Remove(filepath.Join(h.dir, "ip6tables-restore")) },
		"ip6tables cannot read":    func(h fakeHost) { h.breaks("ip6tables", "4") },
		"ip6tables says no to all": func(h fakeHost) { h.breaks("ip6tables", "1") },
	} {
		broken := strings.HasPrefix(name, "ip6tables ")
		t.Run(name, func(t *testing.T) {
			h := newHost(t, "xtables-legacy-multi", fakePrograms...)
			harm(h)
			e := h.firewall(IPTables)
			block(t, e, addr(1), enforcer.Known{})
			if err := e.BlockAll(t.Context(), []target.Target{addr(2), v6}); err == nil {
				t.Error("BlockAll of IPv6 reports success")
			}
			if l := list(t, e); len(l.Blocks) != 2 || (len(l.Faults) > 0) != broken {
				t.Errorf("listed %+v", l)
			}
			if _, err := e.Block(t.Context(), v6, enforcer.Known{}); err == nil ||
				!strings.HasPrefix(err.Error(), "adding rule for 2001:db8::7: ") {
				t.Errorf("Block: %v", err)
			}
			_, mendErr := e.Mend(t.Context())
			for what, err := range map[string]error{
				"Unblock": e.Unblock(t.Context(), v6), "Mend": mendErr, "Flush": e.Flush(t.Context()),
				"UnblockAll": e.UnblockAll(t.Context(), []target.Target{addr(2), v6}),
			} {
				if (err != nil) != broken {
					t.Errorf("%s: %v", what, err)
				}
			}
			if got := h.run("iptables -S OSSEC_AR"); strings.Contains(got, " -s ") {
				t.Errorf("left over:\n%s", got)
			}
			_ = e.Inspect(t.Context(), "")
		})
	}
	h := newHost(t, "none")
	e := h.firewall(IPTables)
	if _, err := e.List(t.Context()); !errors.Is(err, exec.ErrNotFound) || Kind.Hint(err) == "" {
		t.Errorf("List without any: %v", err)
	}
	if got := findings(t, e); strings.Count(got, "install iptables") != 2 {
		t.Errorf("Inspect: %s", got)
	}
}

// TestBesideOthers: a chain that somebody takes away again and again is an error in the end.
func TestBesideOthers(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	e := h.firewall(IPTables)
	h.breaks("iptables", "1")
	if _, err := e.Block(t.Context(), v4, enforcer.Known{}); err == nil ||
		!strings.Contains(err.Error(),
			"adding rule for 203.0.113.7: listing rules: iptables: exit status 1") {
		t.Errorf("Block: %v", err)
	}
	h.breaks("iptables", "")
	block(t, e, v4, enforcer.Known{})
	h.run("iptables -A OSSEC_AR -s 203.0.113.7 -j DROP")
	if err := e.Unblock(t.Context(), v4); err != nil {
		t.Fatal(err)
	}
	if got := h.run("iptables -S OSSEC_AR"); strings.Contains(got, " -s ") {
		t.Errorf("a second rule on it stays:\n%s", got)
	}
}

// TestForward: where the jump for forwarded packets goes.
func TestForward(t *testing.T) {
	for _, tt := range []struct {
		setting, sysctl string
		commands        []string
		want            []string
	}{
		{"auto", "1\n", nil, []string{"INPUT", "FORWARD"}},
		{"auto", "1\n", []string{"iptables -N DOCKER-USER", "iptables -I FORWARD -j DOCKER-USER"},
			[]string{"INPUT", "DOCKER-USER"}},
		{"auto", "1\n", []string{"iptables -N DOCKER-USER"}, []string{"INPUT", "FORWARD"}},
		{"always", "0\n", nil, []string{"INPUT", "FORWARD"}},
		{"never", "1\n", nil, []string{"INPUT"}},
	} {
		h := newHost(t, "xtables-legacy-multi", fakePrograms...)
		h.write("sys/net/ipv4/ip_forward", tt.sysctl)
		for _, command := range tt.commands {
			h.run(command)
		}
		e := h.firewall(IPTables, func(o *Options) { o.Forward = tt.setting })
		block(t, e, v4, enforcer.Known{})
		block(t, e, addr(8), enforcer.Known{Others: 1})
		var got []string
		for name, rules := range mustParse(t, h.run("iptables -S")) {
			if countJumps(rules) == 1 {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s, %q, %q: jumps in %q, want %q", tt.setting, tt.sysctl, tt.commands, got, tt.want)
		}
	}
}

// TestOverNFT: over nf_tables the kernel is asked about chain and rules; no program runs when
// all is as it should be.
func TestOverNFT(t *testing.T) {
	h := newHost(t, "xtables-nft-multi", fakePrograms...)
	e := h.firewall(IPSet)
	block(t, e, addr(1), enforcer.Known{})
	before := len(h.commands("iptables"))
	var input, ours, accepts kernelRules
	input.add(counter(), verdict(unix.NFT_JUMP, Chain))
	ours.add(matchSet(2), counter(), verdict(0, ""))
	h.kernel.chains[filter] = map[string][]byte{"INPUT": input.Attributes, Chain: ours.Attributes}
	if block(t, e, addr(2), enforcer.Known{}).Made {
		t.Error("Block reports that it made the place")
	}
	if err := e.Unblock(t.Context(), addr(2)); err != nil {
		t.Fatal(err)
	}
	if got := h.commands("iptables")[before:]; len(got) > 0 {
		t.Errorf("programs ran: %q", got)
	}
	accepts.add(verdict(1, ""))
	h.kernel.chains[filter]["INPUT"] = append(accepts.Attributes, input.Attributes...)
	block(t, e, addr(3), enforcer.Known{})
	if got := h.commands("iptables")[before:]; len(got) == 0 {
		t.Error("a jump behind what accepts is not looked at")
	}
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

// TestFallBackToLegacy: on a kernel without nf_tables the legacy iptables is used, and Inspect
// says why.
func TestFallBackToLegacy(t *testing.T) {
	h := withStrays(t)
	h.kernel.noTables = true
	h.breaks("iptables", "1")
	e := h.firewall(Auto)
	block(t, e, addr(1), enforcer.Known{})
	if err := e.BlockAll(t.Context(), []target.Target{addr(2), addr(3)}); err != nil {
		t.Fatal(err)
	}
	if l := list(t, e); len(l.Blocks) != 3 {
		t.Errorf("listed %+v", l)
	}
	if got := findings(t, e); !strings.Contains(got, "for iptables cannot work: ") || !strings.Contains(got, "of iptables-legacy") {
		t.Errorf("Inspect: %s", got)
	}
	if err := errors.Join(e.Unblock(t.Context(), addr(1)), e.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := h.run("iptables-legacy -S OSSEC_AR"); strings.Contains(got, " -s ") {
		t.Errorf("left over:\n%s", got)
	}
}

// TestStray: rules of the other variant of iptables are listed, lifted and moved.
func TestStray(t *testing.T) {
	h := withStrays(t)
	h.run("iptables-legacy -N OSSEC_AR")
	for i := range 3 {
		h.run("iptables-legacy -A OSSEC_AR -s " + addr(i).String() + " -j DROP")
	}
	e := h.firewall(IPTables)
	if l := list(t, e); len(l.Blocks) > 0 {
		t.Errorf("the table of legacy iptables is looked at, which makes it: %+v", l)
	}
	h.write("thread-self/net/ip_tables_names", "nat\nfilter\n")
	if l := list(t, e); len(l.Blocks) != 3 || l.Blocks[0].Open == "" || len(l.Faults) != 1 {
		t.Errorf("listed %+v", l)
	}
	if err := e.Unblock(t.Context(), addr(0)); err != nil {
		t.Fatal(err)
	}
	changes, err := e.Mend(t.Context())
	if err != nil ||
		!slices.Equal(changes,
			[]string{"moved 2 addresses from chain OSSEC_AR of iptables-legacy to chain OSSEC_AR of iptables"}) {
		t.Errorf("Mend: %q, %v", changes, err)
	}
	if l := list(t, e); len(l.Blocks) != 2 || len(l.Faults) > 0 {
		t.Errorf("listed %+v", l)
	}
}

func TestTable(t *testing.T) {
	h := withTable(newHost(t, "none"))
	e := h.firewall(Auto)
	if got := e.Describe(v6); got != "nft add element inet ossec_ar blocked6 { 2001:db8::7 }" {
		t.Errorf("Describe: %s", got)
	}
	block(t, e, v4, enforcer.Known{})
	h.kernel.tables["blocked4"].size = 1
	if _, err := e.Block(t.Context(), addr(8), enforcer.Known{}); !errors.Is(err, enforcer.ErrFull) {
		t.Errorf("Block beyond what fits: %v", err)
	}
	whole := h.kernel.chains[nftTableName]["input"]
	h.kernel.chains[nftTableName]["input"] = nil
	if l := list(t, e); len(l.Blocks) != 1 ||
		l.Blocks[0].Open != "chain input of table inet ossec_ar does not drop set blocked4" {
		t.Errorf("listed %+v", l)
	}
	h.kernel.chains[nftTableName]["input"] = whole
	h.kernel.tables["blocked4"].flags = unix.NFT_SET_TIMEOUT
	if _, err := e.Block(t.Context(), addr(8), enforcer.Known{}); err == nil ||
		!strings.Contains(err.Error(), "somebody else made it") {
		t.Errorf("Block beside a set with a timeout: %v", err)
	}
	if got := findings(t, e); !strings.Contains(got, "has a timeout") {
		t.Errorf("Inspect: %s", got)
	}
}

func findings(t *testing.T, e *Firewall) string {
	t.Helper()
	var text strings.Builder
	for _, f := range e.Inspect(t.Context(), "") {
		text.WriteString(string(f.Verdict) + " " + f.What + ": " + f.Found + " -> " + f.Mend + "\n")
	}
	return text.String()
}

func TestNew(t *testing.T) {
	for _, opts := range []Options{{Backend: "pf"}, {MaxRules: -1}, {MaxAddresses: -1}} {
		if e, err := New(opts); err == nil {
			t.Errorf("New(%+v) = %+v, want an error", opts, e)
		}
	}
	e, err := Kind.New(config.Default(), t.TempDir())
	if err != nil || e.(*Firewall).opts.LockPath == "" || e.(*Firewall).opts.Backend != Auto {
		t.Errorf("of the default configuration: %+v, %v", e, err)
	}
}

func TestDescribe(t *testing.T) {
	h := newHost(t, "xtables-legacy-multi", fakePrograms...)
	for backend, want := range map[string]string{
		Auto:     "ip6tables -A OSSEC_AR -s 2001:db8::7 -j DROP",
		IPTables: "ip6tables -A OSSEC_AR -s 2001:db8::7 -j DROP",
		IPSet:    "ipset add ossec_ar6 2001:db8::7",
		NFTables: "nft add element inet ossec_ar blocked6 { 2001:db8::7 }",
	} {
		if got := h.firewall(backend).Describe(v6); got != want {
			t.Errorf("%s: got %q, want %q", backend, got, want)
		}
	}
}
