// Package printabletest has one hostile text for all tests of what leaves the programs.
package printabletest

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

// Hostile is what an attacker may get into a log or an alert: a formula, an encoded word, markup,
// a template, control characters of both kinds, a change of the direction of writing, what nobody
// can see, and bytes that are no UTF-8.
const Hostile = "=cmd|' /C calc'!A1;=1+1\t=?utf-8?q?=46orged?=\r\n</td><script>{{.Log}}\x1b[2J\x00\x7f\u0085\u009b" +
	"\u202e\u200b\u2066\ufeff\U000e0041\xff\xfe\nForged: yes"

// Check fails when text is not safe to show. Besides line breaks it may have the escape sequences
// of a program's own, which is given without them.
func Check(t testing.TB, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is no UTF-8: %q", what, text)
	}
	for i, r := range text {
		if r != '\n' && !unicode.IsGraphic(r) {
			t.Errorf("%s has %U in %q", what, r, text[max(0, i-60):min(len(text), i+60)])
			return
		}
	}
}
