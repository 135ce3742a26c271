package ossec

import (
	"strings"
	"testing"
)

func TestSections(t *testing.T) {
	for _, test := range []struct {
		name, conf, want string // lines and what is between the tags, with | between sections
	}{
		{"none", "<ossec_config><global></global></ossec_config>", ""},
		{"one", "<ossec_config>\n<rules><include>a</include></rules></ossec_config>", "2 <include>a</include>"},
		{"in several roots", "<ossec_config><rules>a</rules></ossec_config>\n<ossec_config>\n<rules>b</rules></ossec_config>", "1 a|3 b"},
		{"in comments", "<!-- <ossec_config><rules>a</rules> --><ossec_config><!-- <rules>b</rules> -->\n<rules>c<!-- </rules> -->d</rules></ossec_config>", "2 c<!-- </rules> -->d"},
		{"empty ones", "<ossec_config><rules/><rules></rules></ossec_config>", "1 "},
		{"blanks in the tags", "<ossec_config><rules >a</rules\n></ossec_config>", "1 a"},
		{"elsewhere", "<rules>a</rules><other><rules>b</rules></other><ossec_config><x><rules>c</rules></x></ossec_config>", ""},
		{"never closed", "<ossec_config><rules>a</ossec_config>", ""},
		{"in a root that is never closed", "<ossec_config><rules>a</rules>", "1 a"},
		{"in another root", "<agent_config><rules>a</rules></agent_config>", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, s := range Sections([]byte(test.conf), "rules") {
				got = append(got, string(rune('0'+s.Line))+" "+test.conf[s.From:s.To])
			}
			if got := strings.Join(got, "|"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
