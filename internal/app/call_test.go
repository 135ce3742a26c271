package app

import (
	"strings"
	"testing"
)

func TestMistake(t *testing.T) {
	p := Program{Name: "firewall-drop"}
	for _, test := range []struct{ words, want string }{
		{"add --dry-run 203.0.113.7", "options stand before the command, as in firewall-drop --dry-run add ADDRESS"},
		{"delete --dry-run 203.0.113.7", "as in firewall-drop --dry-run delete ADDRESS"},
		{"add -n 203.0.113.7", `(found "-n" in the place of the user)`},
		{"add -- 203.0.113.7", "options stand before"},
		{"add --dry-run x", "options stand before"},
		{"add 203.0.113.7 203.0.113.8", `add takes one address (found "203.0.113.7" in the place of the user)`},
		{"delete 2001:db8::1 203.0.113.8", "delete takes one address"},
		{"add ::ffff:203.0.113.7 203.0.113.8", "add takes one address"},
		{"add - 203.0.113.7", ""},
		{"add root 203.0.113.7", ""},
		{"add r-oot 203.0.113.7", ""},
		{"add  203.0.113.7", ""}, // no user, not even "-"
		{"add --dry-run", ""},
		{"add 203.0.113.7", ""},
		{"add --dry-run 203.0.113.7 1.1", ""},
		{"add 203.0.113.7 203.0.113.8 1.1 5712", ""},
	} {
		err := p.mistake(strings.Split(test.words, " "), false)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.words, err, test.want)
		}
	}
}
