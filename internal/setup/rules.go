package setup

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// rulesName is the file with the suite's own rules.
const rulesName = "ar_suite_rules.xml"

// rulesDir is where OSSEC and Wazuh have rules of the site's own.
func (d Dialect) rulesDir() string { return [...]string{"rules", "etc/rules"}[d] }

var (
	ruleID  = regexp.MustCompile(`<rule\s[^>]*\bid\s*=\s*"(\d+)"`)
	ruleSID = regexp.MustCompile(`<if_(?:matched_)?sid>([\d, ]+)</`)
	comment = regexp.MustCompile(`(?s)<!--.*?-->`)
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
	rules, err := os.ReadFile(filepath.Join(j.Rules, strings.ToLower(j.dialect.String()), rulesName))
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
	dir := j.dialect.rulesDir()
	if folder, err := j.folder(dir); err == nil {
		old, err := state.ReadIn(folder, rulesName, maxFile)
		_ = folder.Close() // only read from
		if err == nil && bytes.Equal(old, rules) {
			return include, nil
		}
	}
	j.files[filepath.Join(dir, rulesName)] = rules
	return include, nil
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
	case j.dialect == OSSEC && !includes(f.section.includes, "ossec_rules.xml"):
		return "", "ossec.conf does not include ossec_rules.xml, on which they build, " +
			"in the <rules> by which OSSEC goes", nil
	}
	there := map[string]string{} // id to file
	for _, folder := range []string{"rules", "ruleset/rules", "etc/rules"} {
		if err := j.ruleIDs(folder, f, there); err != nil {
			return "", "", fmt.Errorf("reading the rules that are there: %w", err)
		}
	}
	rules = comment.ReplaceAll(rules, nil)
	own := map[string]bool{}
	for _, m := range ruleID.FindAllSubmatch(rules, -1) {
		own[string(m[1])] = true
		if file := there[string(m[1])]; file != "" {
			return "", fmt.Sprintf("%s has a rule %s already", file, m[1]), nil
		}
	}
	for _, m := range ruleSID.FindAllSubmatch(rules, -1) {
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

// includes reports whether a file is among those that are included, by whatever path.
func includes(files []string, name string) bool {
	return slices.ContainsFunc(files, func(file string) bool { return filepath.Base(file) == name })
}

// ruleIDs adds the ids of the rules in a folder that are loaded, each with its file. What is no plain
// file is passed over: the daemons' own test, if it can be run, has the last word.
func (j *job) ruleIDs(folder string, f found, ids map[string]string) error {
	root, err := j.folder(folder)
	if err != nil {
		return nil // there are none
	}
	defer root.Close() // only read from
	files, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, file := range files {
		name := file.Name()
		if name == rulesName || !strings.HasSuffix(name, ".xml") || !file.Type().IsRegular() ||
			j.dialect == OSSEC && !includes(f.section.includes, name) {
			continue
		}
		data, err := state.ReadIn(root, name, maxFile)
		if err != nil {
			return err
		}
		for _, m := range ruleID.FindAllSubmatch(comment.ReplaceAll(data, nil), -1) {
			ids[string(m[1])] = j.path(filepath.Join(folder, name))
		}
	}
	return nil
}

// removeRules takes the rules away again, unless something still includes them.
func (j *job) removeRules(rest found) {
	name := filepath.Join(j.dialect.rulesDir(), rulesName)
	if isThere(j.path(name)) && !includes(rest.rules, rulesName) {
		j.files[name] = nil
	}
}
