package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// now is when the tests take place.
var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// goodConf is a server's ossec.conf with nothing wrong in it; {HOME} is the home.
const goodConf = `<ossec_config>
  <global>
    <white_list>127.0.0.1</white_list>
    <white_list>192.168.1.0/24</white_list>
  </global>
  <localfile><log_format>syslog</log_format><location>{HOME}/logs/active-responses.log</location></localfile>
  <command>
    <name>firewall-drop</name>
    <executable>firewall-drop.sh</executable>
    <expect>srcip</expect>
    <timeout_allowed>yes</timeout_allowed>
  </command>
  <active-response>
    <command>firewall-drop</command>
    <location>local</location>
    <rules_id>5712,5720</rules_id>
    <timeout>600</timeout>
  </active-response>
</ossec_config>
`

const agentConf = `<ossec_config>
  <client><server-ip>192.0.2.99</server-ip></client>
  <localfile><log_format>syslog</log_format><location>{HOME}/logs/active-responses.log</location></localfile>
</ossec_config>
`

// place is a made-up host and home on which all is well, for a test to break.
type place struct {
	*testing.T
	dir      string // what "/" stands for
	home     string
	host     *host
	out      bytes.Buffer
	enforcer *fakeEnforcer
	env      app.Env
	subject  Subject
	options  Options
	tool     Subject // ossec-ar, which cron runs
	adjust   func(*host)
	unasked  bool // maintain did not ask for host names
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir) // which has no ossec-ar, whatever the host has
	p := &place{T: t, dir: dir, home: filepath.Join(dir, "var/ossec"), enforcer: &fakeEnforcer{Fake: enforcertest.NewFake()}}
	p.write("var/ossec/etc/ossec.conf", goodConf)
	p.write("var/ossec/etc/shared/ar.conf", "firewall-drop600 - firewall-drop.sh - 600\n")
	p.write("var/ossec/active-response/bin/firewall-drop", "#!/bin/sh\n")
	p.chmod("var/ossec/active-response/bin/firewall-drop", 0o755)
	p.link("firewall-drop", "var/ossec/active-response/bin/firewall-drop.sh")
	p.write("var/ossec/logs/active-responses.log", "")
	p.chmod("var/ossec/logs/active-responses.log", 0o660)
	old := now.Add(-24 * time.Hour)
	p.check(os.Chtimes(p.path("var/ossec/logs/active-responses.log"), old, old))
	p.write("var/ossec/bin/ossec-ar", "#!/bin/sh\n")
	p.chmod("var/ossec/bin/ossec-ar", 0o755)
	p.write("var/ossec/bin/ossec-control", "#!/bin/sh\n")
	p.write("etc/cron.d/ossec-ar", "* * * * * root "+p.home+"/bin/ossec-ar maintain\n")
	p.write("etc/group", "root:x:0:\n")
	// The daemons started in the far future of the files, that is, after they were made.
	p.write("proc/stat", fmt.Sprintf("cpu 1 2 3\nbtime %d\n", time.Now().Add(time.Hour).Unix()))
	p.process(100, "ossec-execd", 6000)
	p.process(101, "ossec-analysisd", 6000)
	p.process(102, "cron", 6000)
	p.process(104, "ossec-logcollector", 6000)
	p.env = app.Env{
		Args: []string{"ossec-ar", "check"}, OssecHome: p.home, Stdout: &p.out, Stderr: io.Discard,
		Dir: "/", Now: func() time.Time { return now }, Proc: p.path("proc"), Resolver: office{},
	}
	p.subject = Subject{Name: "firewall-drop", Hold: &hold.Holder{
		Kind: enforcer.Kind{Name: "firewall-drop"}, Enforcer: p.enforcer, Leases: lease.New(p.path("var/ossec/var/active-response"), "firewall-drop"),
		Home: ossec.Home(p.home), Now: func() time.Time { return now }, Proc: p.path("proc"),
	}}
	p.tool = Subject{Name: "ossec-ar", Path: p.path("var/ossec/bin/ossec-ar"), FromCron: true, Jobs: []Job{
		{Command: "maintain", When: "* * * * *", Why: "what is flushed stays open"},
	}}
	return p
}

// look runs the check and returns its rows.
func (p *place) look() []Finding {
	p.Helper()
	rows := p.made().findings(context.Background())
	for _, f := range rows {
		if f.Mend != "" {
			p.mends(f.Mend)
		}
	}
	return rows
}

// edits are how what mends begins when it is no command but something that a person does.
var edits = strings.Fields("add begin correct leave let list look make mend move name nothing put remove run see set " +
	"start take try write")

// mends checks that what mends can be done on this host: its first word is a file of the host or a
// program that every host has, or it is an edit.
func (p *place) mends(mend string) {
	p.Helper()
	word, _, _ := strings.Cut(mend, " ")
	_, missing := os.Stat(word)
	needsSystemd := word == "systemctl" || word == "timedatectl"
	_, noSystemd := os.Stat(p.path("run/systemd/system"))
	switch {
	case strings.HasPrefix(mend, "mend"):
		p.Errorf("mend: %s", mend)
	case slices.Contains(edits, word), missing == nil, needsSystemd && noSystemd == nil:
	case slices.Contains(strings.Fields("chmod chown echo install mount mv rm sed"), word):
	default:
		p.Errorf("nothing on this host is called %q: %s", word, mend)
	}
}

// made is the host as it is now.
func (p *place) made() *host {
	p.Helper()
	p.options.Settings, p.options.SettingsFault = config.Load(ossec.Home(p.home))
	h := newHost(app.New(p.env, "ossec-ar"), p.options, slices.DeleteFunc([]*Subject{&p.subject, &p.tool}, func(s *Subject) bool { return s.Name == "" }))
	h.root, h.Proc, h.owner, h.user = p.dir, p.path("proc"), os.Geteuid(), os.Geteuid()
	h.addresses = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil }
	if !p.unasked {
		_, err := neverblock.Refresh(context.Background(), h.Home, h.Settings.Whitelist, p.env.Resolver, now.Add(-time.Minute))
		p.check(err)
	}
	if p.adjust != nil {
		p.adjust(h)
	}
	p.host = h
	return h
}

func (p *place) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) {
	p.Helper()
	p.check(os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	p.check(os.WriteFile(p.path(name), []byte(strings.ReplaceAll(text, "{HOME}", p.home)), 0o644))
}

func (p *place) chmod(name string, mode os.FileMode) {
	p.Helper()
	p.check(os.Chmod(p.path(name), mode))
}

func (p *place) remove(name string) {
	p.Helper()
	p.check(os.RemoveAll(p.path(name)))
}

func (p *place) link(target, name string) {
	p.Helper()
	p.check(os.Symlink(target, p.path(name)))
}

// conf replaces a part of the good configuration.
func (p *place) conf(old, replacement string) {
	p.Helper()
	text, err := os.ReadFile(p.path("var/ossec/etc/ossec.conf"))
	p.check(err)
	if !strings.Contains(string(text), old) {
		p.Fatalf("ossec.conf has no %q", old)
	}
	p.write("var/ossec/etc/ossec.conf", strings.Replace(string(text), old, replacement, 1))
}

// process makes a process that started so many clock ticks after boot.
func (p *place) process(pid int, name string, start int) {
	p.Helper()
	dir := fmt.Sprintf("proc/%d/", pid)
	kept := name[:min(len(name), 15)]
	p.write(dir+"comm", kept+"\n")
	p.write(dir+"stat", fmt.Sprintf("%d (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0\n", pid, kept, start))
	p.write(dir+"status", "Name:\t"+kept+"\nUid:\t0\t0\t0\t0\n")
	p.remove(dir + "exe")
	p.link(p.path("var/ossec/bin/"+name), dir+"exe")
}

// lease puts leases on addresses.
func (p *place) lease(addresses ...string) {
	p.Helper()
	p.check(p.subject.Hold.Leases.Update(func(tx *lease.Tx) error {
		for _, a := range addresses {
			l := lease.Lease{Target: target.MustParse(a), Program: "firewall-drop.sh", Since: now, Renewed: now}
			if err := tx.Put(l); err != nil {
				return err
			}
		}
		return nil
	}))
}

// office is a resolver that knows one name, and never answers for another.
type office struct{}

func (office) LookupNetIP(ctx context.Context, _, name string) ([]netip.Addr, error) {
	switch name {
	case "office.example.org":
		return []netip.Addr{netip.MustParseAddr("198.51.100.80")}, nil
	case "slow.example.org":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errors.New("no such host")
}

// silence is a resolver that never answers.
type silence struct{}

func (silence) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("silence")
}

// fakeEnforcer holds blocks in memory.
type fakeEnforcer struct {
	*enforcertest.Fake
	// blind makes Block do nothing, and stuck Unblock.
	blind, stuck bool
	asked        []target.Target
}

func (e *fakeEnforcer) Block(ctx context.Context, addr target.Target, known enforcer.Known) (enforcer.Outcome, error) {
	e.asked = append(e.asked, addr)
	if e.blind {
		return enforcer.Outcome{}, nil
	}
	return e.Fake.Block(ctx, addr, known)
}

func (e *fakeEnforcer) Unblock(ctx context.Context, addr target.Target) error {
	if e.stuck {
		return nil
	}
	return e.Fake.Unblock(ctx, addr)
}
