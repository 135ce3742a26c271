package chat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// What is broken up is whole again without the characters that nobody sees; what people copy is left as
// it is.
func FuzzEscape(f *testing.F) {
	for _, text := range []string{"", "@channel <!here|x> http://a.example/?b=c", "a\n\n# b\n- [c](d) `e` &amp;",
		"\xff\xfe.a@", "münchen.example", "203.0.113.7 2001:db8::7 198.51.100.0/24"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.ContainsRune(text, zero) {
			plain(text) // it only must not fail
			return
		}
		without := func(s string) string { return strings.ReplaceAll(s, string(zero), "") }
		if got := without(plain(text)); got != text {
			t.Errorf("plain: %q of %q", got, text)
		}
		unescape := strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")
		if got := unescape.Replace(without(forSlack(text))); got != text {
			t.Errorf("Slack: %q of %q", got, text)
		}
		var b strings.Builder
		rest := without(forMarkdown(text))
		for i := 0; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			}
			b.WriteByte(rest[i])
		}
		if b.String() != text {
			t.Errorf("Markdown: %q of %q", b.String(), text)
		}
		for _, most := range []int{20, 100} {
			if got := fit(text, forMarkdown, most); len(got) > most || !utf8.ValidString(got) {
				t.Errorf("%d bytes of %q: %q", most, text, got)
			}
		}
	})
}

func TestPlainLeavesAddresses(t *testing.T) {
	for _, text := range []string{"203.0.113.7", "2001:db8::7", "ossec-ar unban 203.0.113.7", "198.51.100.0/24",
		"2026-11-27 18:00:00 UTC", "rule 5712 (level 10)"} {
		if got := plain(text); got != text {
			t.Errorf("%q of %q", got, text)
		}
	}
}
