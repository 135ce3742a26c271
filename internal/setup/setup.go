// Package setup puts what the suite needs into an ossec.conf, and takes it out again:
// commands, active responses, whitelist entries and the logs to follow, as profiles that
// people choose from. All of it stands in one <ossec_config> between two marks, but the
// <include> of the suite's rules, which stands between two of its own in the <rules> that is
// there. Every byte outside of them stays as it is. The snippets in contrib come from the same
// profiles.
//
// Before anything is put in its place, the daemons test it on a copy of the home
// (internal/rehearsal).
package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// Options say what to set up.
type Options struct {
	Home      string
	DestDir   string   // is put before every path that is read or written
	Profiles  []string // in the place of those of last time; nil: those, else DefaultProfiles
	Whitelist []string // added to what is listed
	Rules     string   // folder that has the rules to install as ossec/... and wazuh/..., "" for none
	Remove    bool
	Logs      bool // only make the logs that ossec.conf has followed
	DryRun    bool
	Now       time.Time
	Out       io.Writer // what was done, a line each
}

// job is one run.
type job struct {
	Options
	etc     *os.Root // the folder of ossec.conf
	conf    string   // its name there
	dialect Dialect
	server  bool // has the daemon that only a server has
	changed bool
	// files are those of the suite's own that go with ossec.conf, by their names in the home; nil for one
	// that goes.
	files map[string][]byte
}

// Run sets up, or takes out what it set up before. It is idempotent.
func Run(o Options) error {
	o.Home = filepath.Clean(o.Home)
	j := &job{Options: o, files: map[string][]byte{}}
	err := j.open()
	switch {
	case errors.Is(err, os.ErrNotExist) && o.Remove:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no OSSEC or Wazuh in %s: no %s", o.Home, j.path("etc/ossec.conf"))
	case err != nil:
		return fmt.Errorf("finding the configuration: %w", err)
	}
	defer j.etc.Close() // nothing is lost
	if j.home().Wazuh() {
		j.dialect = Wazuh
	}
	j.server = isThere(j.path("bin/ossec-analysisd")) || isThere(j.path("bin/wazuh-analysisd"))
	run := j.set
	if o.Remove {
		run = j.remove
	}
	if o.Logs {
		run = j.onlyLogs
	}
	if err := run(); err != nil {
		return err
	}
	if j.changed {
		j.say("restart %s when it suits you: it reads its configuration only then", j.dialect)
	}
	return nil
}

func (j *job) home() ossec.Home { return ossec.Home(j.path(".")) }

func (j *job) path(name string) string { return filepath.Join(j.DestDir, j.Home, name) }

func (j *job) say(format string, args ...any) { fmt.Fprintf(j.Out, format+"\n", args...) }

// did prints what was done, or would be.
func (j *job) did(done, would, what string) {
	if j.DryRun {
		done = "would " + would
	}
	j.say("%s %s", done, what)
}

// load reads the configuration and splits it.
func (j *job) load() (document, []byte, error) {
	data, err := state.ReadIn(j.etc, j.conf, maxFile)
	if err != nil {
		return document{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	d, err := split(data)
	if err == nil {
		_, _, err = includeMarks.find(data)
	}
	return d, data, j.inConf(err)
}

func (j *job) set() error {
	d, data, err := j.load()
	if err != nil {
		return err
	}
	names := j.Profiles
	if names == nil {
		names = profilesOf(d.block)
	}
	if names == nil {
		names = DefaultProfiles
	}
	profiles, err := chosen(names, j.dialect)
	if err != nil {
		return err
	}
	whitelist, err := entries(append(look(d.block).whitelist, j.Whitelist...))
	if err != nil {
		return err
	}
	all, last := look(masked(d.rest())), includedIn(data, d)
	if j.server {
		all.analysis = true
	}
	want := request{home: j.Home, dialect: j.dialect, wazuh5: j.home().Wazuh5(), profiles: profiles,
		whitelist: whitelist}
	if all.agent() {
		want.whitelist = nil
		if err := j.listOnAgent(whitelist); err != nil {
			return err
		}
	} else if want.rules, err = j.wantRules(all, last); err != nil {
		return err
	}
	c, notes := want.compose(look(d.before), all)
	next, err := want.apply(d, c)
	if err != nil {
		return j.inConf(err)
	}
	if err := j.rehearse(data, next); err != nil {
		return err
	}
	old := look(d.block).contents
	if c.joined && slices.Contains(old.rules, want.rules) {
		j.did("moved", "move", fmt.Sprintf("rules %s into the <rules> at line %d: OSSEC goes by one only",
			want.rules, all.section.Line))
	}
	old.rules = last
	j.changes(old, c, notes, bytes.Equal(next, data))
	if err := j.write(data, next); err != nil {
		return err
	}
	j.makeLogs(look(next))
	return nil
}

func (j *job) onlyLogs() error {
	_, data, err := j.load()
	j.makeLogs(look(data))
	return err
}

// makeLogs makes those of the suite's logs that are followed and missing: logcollector gives up for good
// on a file that is not there soon after its start.
func (j *job) makeLogs(f found) {
	group := arlog.Group(j.path("."))
	for _, log := range append(logs(j.Home), ossec.Home(j.Home).JSONLog()) {
		path := filepath.Join(j.DestDir, log)
		if j.DryRun || isThere(path) || !f.follows(j.Home, log) {
			continue
		}
		if err := arlog.AppendLines(path, group, nil); err != nil {
			j.say("warning: logcollector will not find %s: %v", log, err)
		}
	}
}

// includedIn returns the files that were included last time, by the block or by the <rules>
// that was there.
func includedIn(data []byte, d document) []string {
	files := look(d.block).rules
	s, _, _ := includeMarks.find(data) // load has reported marks that are no pair
	more, _ := includesIn(data[s.from:s.to])
	return append(files, more...)
}

// changes prints what differs between the contents and those of last time.
func (j *job) changes(old, c contents, notes []string, same bool) {
	if same {
		j.say("%s is set up already", j.conf)
		notes = slices.DeleteFunc(notes,
			func(note string) bool { return !strings.HasPrefix(note, "warning: ") })
	}
	before, after := old.summary(), c.summary()
	for _, line := range before {
		if !slices.Contains(after, line) {
			j.did("removed", "remove", line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			j.did("added", "add", line)
		}
	}
	for _, note := range notes {
		j.say("%s", note)
	}
}

func nameList(profiles []profile) []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	return names
}

// entries checks whitelist entries and drops those that are there twice.
func entries(list []string) ([]string, error) {
	var out []string
	var faults []error
	for _, text := range list {
		entry, err := canonicalEntry(strings.TrimSpace(text))
		if err != nil {
			faults = append(faults, fmt.Errorf("whitelist entry %q: %w", text, err))
			continue
		}
		if !slices.Contains(out, entry) {
			out = append(out, entry)
		}
	}
	return out, errors.Join(faults...)
}

// remove takes the block out. What an <active-response> outside of it uses has to stay:
// without its <command> OSSEC would not start.
func (j *job) remove() error {
	d, data, err := j.load()
	if err != nil {
		return err
	}
	rest := look(masked(d.rest()))
	var kept contents
	for _, c := range look(d.block).commands {
		used := slices.ContainsFunc(rest.responses, func(r response) bool { return r.command.name == c.name })
		if used && rest.executable(c.name) == "" {
			kept.commands = append(kept.commands, c)
			j.say("left command %s in %s: an active-response of yours uses it", c.name, j.conf)
		}
	}
	block := ""
	if !kept.empty() {
		block = marked(nil, kept, j.dialect)
	}
	next, err := setInclude(d.with(block), "")
	if err != nil {
		return j.inConf(err)
	}
	j.removeRules(rest)
	if err := j.rehearse(data, next); err != nil {
		return err
	}
	return j.write(data, next)
}

// listOnAgent puts entries where the responses of an agent find them: OSSEC itself has none there.
func (j *job) listOnAgent(add []string) error {
	if j.DestDir != "" && len(add) > 0 {
		j.say("on the agent itself, run: ossec-ar whitelist add %s", strings.Join(add, " "))
		return nil
	}
	list := neverblock.Editor{Home: j.home(), Wait: time.Minute, DryRun: j.DryRun}
	for _, entry := range add {
		added, err := list.Add(entry, time.Time{})
		if err != nil {
			return err
		}
		if added {
			j.did("added", "add", entry+" to "+neverblock.OwnFile(j.home()))
		}
	}
	return nil
}
