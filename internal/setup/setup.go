// Package setup puts what the suite needs into an ossec.conf, and takes it out again:
// commands, active responses, whitelist entries and the logs to follow, as profiles that
// people choose from. All of it stands in one <ossec_config> between two marks, but the
// <include> of the suite's rules, which stands between two of its own in the <rules> that is
// there. Every byte outside of them stays as it is. The snippets in contrib come from the same
// profiles.
//
// It never runs OSSEC's own programs: to test a configuration, ossec-analysisd rewrites
// files of the installation that runs.
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

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// Options say what to set up.
type Options struct {
	Home      string
	DestDir   string   // is put before every path that is read or written
	Profiles  []string // in the place of those of last time; nil: those, else DefaultProfiles
	Whitelist []string // added to what is listed
	Rules     string   // a file with rules to install, "" for none
	Remove    bool
	DryRun    bool
	Now       time.Time
	Out       io.Writer // what was done, a line each
}

// job is one run.
type job struct {
	Options
	conf    string // its real path, below DestDir
	dialect Dialect
	server  bool // has the daemon that only a server has
	changed bool
}

// Run sets up, or takes out what it set up before. It is idempotent.
func Run(o Options) error {
	o.Home = filepath.Clean(o.Home)
	j := &job{Options: o}
	conf := j.path("etc/ossec.conf")
	resolved, err := filepath.EvalSymlinks(conf)
	switch {
	case errors.Is(err, os.ErrNotExist) && o.Remove:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no OSSEC or Wazuh in %s: no %s", o.Home, conf)
	case err != nil:
		return fmt.Errorf("finding the configuration: %w", err)
	}
	j.conf = resolved
	for _, name := range []string{"control", "execd", "analysisd", "agentd"} {
		if isThere(j.path("bin/wazuh-" + name)) {
			j.dialect = Wazuh
		}
	}
	j.server = isThere(j.path("bin/ossec-analysisd")) || isThere(j.path("bin/wazuh-analysisd"))
	run := j.set
	if o.Remove {
		run = j.remove
	}
	if err := run(); err != nil {
		return err
	}
	if j.changed {
		j.say("restart %s when it suits you: it reads its configuration only then", j.dialect)
	}
	return nil
}

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
	data, err := os.ReadFile(j.conf)
	if err != nil {
		return document{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	d, err := split(data)
	if err == nil {
		_, _, err = findInclude(data)
	}
	if err != nil {
		return d, nil, fmt.Errorf("%s: %w", j.conf, err)
	}
	return d, data, nil
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
	profiles, err := chosen(names)
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
	want := request{home: j.Home, dialect: j.dialect, profiles: profiles, whitelist: whitelist}
	if all.agent() {
		want.whitelist = nil
		if err := j.listOnAgent(whitelist); err != nil {
			return err
		}
	} else if want.rules, err = j.wantRules(all, last); err != nil {
		return err
	}
	c, notes := want.compose(look(d.before), all)
	block := ""
	if !c.empty() {
		block = marked(nameList(profiles), c, j.dialect)
	}
	include := ""
	if c.joined {
		include = want.rules
	}
	next, err := setInclude(d.with(block), include)
	if err == nil && block != "" {
		err = readable(next, c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", j.conf, err)
	}
	old := look(d.block).contents()
	if c.joined && slices.Contains(old.rules, include) {
		j.did("moved", "move", fmt.Sprintf("rules %s into the <rules> at line %d: OSSEC goes by one only",
			include, all.rules.Line))
	}
	old.rules = last
	j.changes(old, c, notes, bytes.Equal(next, data))
	return j.write(data, next)
}

// includedIn returns the files that were included last time, by the block or by the <rules>
// that was there.
func includedIn(data []byte, d document) []string {
	files := look(d.block).includes
	if s, there, _ := findInclude(data); there { // load has reported marks that are no pair
		more, _ := includesIn(data[s.from:s.to])
		files = append(files, more...)
	}
	return files
}

// changes prints what differs between the contents and those of last time.
func (j *job) changes(old, c contents, notes []string, same bool) {
	if same {
		j.say("%s is set up already", filepath.Base(j.conf))
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
		used := slices.ContainsFunc(rest.responses, func(r foundResponse) bool { return r.command == c.name })
		if used && rest.executable(c.name) == "" {
			kept.commands = append(kept.commands, c.command)
			j.say("left command %s in %s: an active-response of yours uses it", c.name, filepath.Base(j.conf))
		}
	}
	block := ""
	if !kept.empty() {
		block = marked(nil, kept, j.dialect)
	}
	next, err := setInclude(d.with(block), "")
	if err != nil {
		return fmt.Errorf("%s: %w", j.conf, err)
	}
	if err := j.write(data, next); err != nil {
		return err
	}
	if err := j.removeRules(rest); err != nil {
		return err
	}
	return j.unlistOnAgent()
}

// write puts the new content in the place of the old, of which it keeps a copy.
func (j *job) write(old, next []byte) error {
	if bytes.Equal(old, next) {
		return nil
	}
	did, would := "set up", "set up"
	if j.Remove {
		did, would = "took the suite's block out of", "take the suite's block out of"
	}
	if j.DryRun {
		j.say("would %s %s", would, j.conf)
		return nil
	}
	backup, err := replace(j.conf, old, next, j.Now)
	if err != nil {
		return err
	}
	j.say("%s %s; as it was: %s", did, j.conf, backup)
	j.changed = true
	return nil
}

// agentList is where an agent's whitelist entries go: OSSEC itself has none there.
func (j *job) agentList() string {
	return filepath.Join(j.DestDir, filepath.Join(ossec.Home(j.Home).Whitelists(), "ossec-ar"))
}

func (j *job) listOnAgent(add []string) error {
	old, err := os.ReadFile(j.agentList())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the whitelist: %w", err)
	}
	text := string(old)
	for _, entry := range add {
		if slices.Contains(strings.Fields(text), entry) {
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += entry + "\n"
		j.did("added", "add", entry+" to etc/whitelist.d/ossec-ar")
	}
	if text == string(old) || j.DryRun {
		return nil
	}
	return j.put(j.agentList(), []byte(text))
}

func (j *job) unlistOnAgent() error {
	if !isThere(j.agentList()) {
		return nil
	}
	j.did("removed", "remove", "etc/whitelist.d/ossec-ar")
	if j.DryRun {
		return nil
	}
	if err := os.Remove(j.agentList()); err != nil {
		return fmt.Errorf("removing the whitelist: %w", err)
	}
	_ = os.Remove(filepath.Dir(j.agentList())) // if nothing else is in it
	return nil
}
