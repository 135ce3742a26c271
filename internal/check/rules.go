package check

import (
	"context"
	"slices"
)

// ruleSections looks for a second <rules>. OSSEC 4.3 reads each one anew from its first
// include on, over what those before include: its analysisd then misses rules that others
// build on ("Signature ID '600' not found") and does not start, nor does the rest of OSSEC.
// Wazuh has <ruleset>, of which there may be several.
func (h configuration) ruleSections(_ context.Context, s *sheet) {
	var first *block
	for _, b := range h.conf.all("rules") {
		switch includes := b.includes(); {
		case includes == nil:
		case first == nil:
			first = b
		default:
			mend := "move what is in it to the end of the <rules> at " +
				h.conf.at(first.line) + ", and take it out"
			if slices.Equal(includes, []string{"ar_suite_rules.xml"}) {
				mend = "run `install.sh --configure` again, which moves it into the <rules> at " +
					h.conf.at(first.line)
			}
			s.fault(mend,
				"%s: a second <rules>: OSSEC forgets what the one at line %d includes, and does not start",
				h.conf.at(b.line), first.line)
		}
	}
	s.ok("no second <rules>")
}

// includes returns what a <rules> makes OSSEC read, nil for nothing.
func (b *block) includes() []string {
	var all []string
	for _, f := range b.fields {
		if slices.Contains([]string{"include", "rule", "rule_include", "rule_dir"}, f.name) {
			all = append(all, f.text)
		}
	}
	return all
}
