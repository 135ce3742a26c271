package setup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// rulesName is the file with the suite's own rules.
const rulesName = "ar_suite_rules.xml"

// rulesDir is where OSSEC and Wazuh have rules of the site's own.
func (d Dialect) rulesDir() string { return [...]string{"rules", "etc/rules"}[d] }

// Compiled when they are used: a response that the daemon calls must not wait for it.
var (
	ruleID = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`<rule\s[^>]*\bid\s*=\s*"(\d+)"`)
	})
	ruleSID = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`<if_(?:matched_)?sid>([\d, ]+)</`)
	})
	comment = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)<!--.*?-->`) })
)

// wantRules returns the rules file to include: the one that is given, after
// it was installed, else that of last time, which is among those that were included then.
func (j *job) wantRules(all found, last []string) (string, error) {
	if j.Rules != "" {
		return j.installRules(all)
	}
	if j.dialect == OSSEC && slices.Contains(last, rulesName) {
		return rulesName, nil
	}
	return "", nil
}

// installRules puts the suite's rules where the daemon finds them, and returns what has
// to be included. Rules that would keep the daemon from starting, because an id is taken
// or one that they build on is missing, are left out, with a word about why.
func (j *job) installRules(f found) (string, error) {
	rules, err := os.ReadFile(j.Rules)
	if err != nil {
		return "", fmt.Errorf("reading the rules: %w", err)
	}
	include, obstacle, err := j.rulesFit(f, rules)
	if err != nil {
		return "", err
	}
	if obstacle != "" {
		j.say("left the suite's rules out: %s", obstacle)
		return "", nil
	}
	target := filepath.Join(j.path(j.dialect.rulesDir()), rulesName)
	if old, err := os.ReadFile(target); err == nil && bytes.Equal(old, rules) {
		return include, nil
	}
	j.did("added", "add", filepath.Join(j.dialect.rulesDir(), rulesName))
	if j.DryRun {
		return include, nil
	}
	j.changed = true
	return include, j.put(target, rules)
}

// rulesFit returns the name to include, or what stands in the way of the rules.
func (j *job) rulesFit(f found, rules []byte) (include, obstacle string, err error) {
	dir := j.dialect.rulesDir()
	listed := slices.ContainsFunc(f.ruleDirs, func(d string) bool {
		return strings.Trim(strings.TrimPrefix(d, j.Home), "/") == dir
	})
	switch {
	case j.dialect == OSSEC && listed:
		return "", "a rule_dir loads the folder rules in order of names, these before those that they build on", nil
	case j.dialect == Wazuh && !listed:
		return "", "no rule_dir in ossec.conf loads etc/rules", nil
	case j.dialect == OSSEC && !slices.ContainsFunc(f.rules.includes,
		func(i string) bool { return filepath.Base(i) == "ossec_rules.xml" }):
		return "", "ossec.conf does not include ossec_rules.xml, on which they build, in the <rules> by which OSSEC goes", nil
	}
	included := slices.Clone(f.rules.includes)
	for i := range included {
		included[i] = filepath.Base(included[i])
	}
	there := map[string]string{} // id to file
	for _, pattern := range []string{"rules/*.xml", "ruleset/rules/*.xml", "etc/rules/*.xml"} {
		files, _ := filepath.Glob(j.path(pattern)) // the pattern is good
		for _, file := range files {
			name := filepath.Base(file)
			if name == rulesName || j.dialect == OSSEC && !slices.Contains(included, name) {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return "", "", fmt.Errorf("reading the rules that are there: %w", err)
			}
			for _, m := range ruleID().FindAllSubmatch(comment().ReplaceAll(data, nil), -1) {
				there[string(m[1])] = file
			}
		}
	}
	rules = comment().ReplaceAll(rules, nil)
	own := map[string]bool{}
	for _, m := range ruleID().FindAllSubmatch(rules, -1) {
		own[string(m[1])] = true
		if file := there[string(m[1])]; file != "" {
			return "", fmt.Sprintf("%s has a rule %s already", file, m[1]), nil
		}
	}
	for _, m := range ruleSID().FindAllSubmatch(rules, -1) {
		for id := range strings.SplitSeq(string(m[1]), ",") {
			if id = strings.TrimSpace(id); !own[id] && there[id] == "" {
				return "", fmt.Sprintf("there is no rule %s, on which they build", id), nil
			}
		}
	}
	if j.dialect == OSSEC {
		include = rulesName
	}
	return include, "", nil
}

// removeRules takes the rules away again, unless something still includes them.
func (j *job) removeRules(rest found) error {
	target := filepath.Join(j.path(j.dialect.rulesDir()), rulesName)
	if !isThere(target) || slices.ContainsFunc(rest.includes,
		func(i string) bool { return filepath.Base(i) == rulesName }) {
		return nil
	}
	j.did("removed", "remove", filepath.Join(j.dialect.rulesDir(), rulesName))
	if j.DryRun {
		return nil
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the rules: %w", err)
	}
	return nil
}
