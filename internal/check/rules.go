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
		includes := slices.ContainsFunc(b.fields, func(f field) bool {
			return slices.Contains([]string{"include", "rule", "rule_include", "rule_dir"}, f.name)
		})
		switch {
		case !includes:
		case first == nil:
			first = b
		default:
			s.fault("move what is in it to the end of the <rules> at "+h.conf.at(first.line)+
				", and take it out",
				"%s: a second <rules>: OSSEC forgets what the one at line %d includes, and does not start",
				h.conf.at(b.line), first.line)
		}
	}
	s.ok("no second <rules>")
}
