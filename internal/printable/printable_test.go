package printable

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
)

func FuzzPrintable(f *testing.F) {
	f.Add(printabletest.Hostile)
	f.Fuzz(func(t *testing.T, text string) {
		line := Line(text)
		if strings.ContainsAny(line, "\n\r\x00\t") || !utf8.ValidString(line) {
			t.Errorf("%q gives %q", text, line)
		}
		if len(text) <= MaxLine && len(line) <= MaxLine && Line(line) != line {
			t.Errorf("%q is not printable yet", line)
		}
		printabletest.Check(t, "Lines", Lines(text))
		valid, err := json.Marshal(text)
		var same, back string
		if err == nil {
			err = json.Unmarshal(valid, &same)
		}
		ascii := JSON(valid)
		if json.Unmarshal(ascii, &back) != nil || err != nil || back != same || strings.ContainsFunc(string(ascii), func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q gives %s", text, ascii)
		}
	})
}

// What nobody can see is shown, so that no text looks like another.
func TestInvisible(t *testing.T) {
	for _, r := range "\u115f\u1160\uffa0\u17b4\u180b\u3164\u034f\ufe0f\u2800\u2003\u200b\u202e\U000e0041\U000e0101" {
		if got, want := Line("ad"+string(r)+"min"), fmt.Sprintf(`ad\u%04xmin`, r); got != want {
			t.Errorf("%U: %q, want %q", r, got, want)
		}
	}
	const seen = "Ŝtelo – 星 ★\u00a0é🙂" // and a blank that is one
	if got := Line(seen); got != seen {
		t.Errorf("%q, want it unchanged", got)
	}
}

func TestClip(t *testing.T) {
	for _, r := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aé", 2, "a"}, {"é", 1, ""}} {
		if got := Clip(r.text, r.n); got != r.want {
			t.Errorf("Clip(%q, %d) = %q, want %q", r.text, r.n, got, r.want)
		}
	}
}

func TestCount(t *testing.T) {
	for _, r := range []struct {
		n    int
		what string
		want string
	}{{1, "day", "1 day"}, {0, "day", "0 days"}, {2, "address", "2 addresses"}, {3, "entry", "3 entries"}} {
		if got := Count(r.n, r.what); got != r.want {
			t.Errorf("Count(%d, %q) = %q, want %q", r.n, r.what, got, r.want)
		}
	}
}

func TestCell(t *testing.T) {
	for text, want := range map[string]string{
		"rule 5712":            "rule 5712",
		"2026-11-27 a=b x@y.z": "2026-11-27 a=b x@y.z",
		"=1+1":                 "'=1+1",
		"-1":                   "'-1",
		"＝1":                   "'＝1",
		"＋1":                   "'＋1",
		"－1":                   "'－1",
		"＠x":                   "'＠x",
		"−1":                   "'−1",
		` "=1`:                 `' "=1`,
		"a;=1":                 "a;'=1",
		"a|=1":                 "a|'=1",
		"a, ＝1;@x":             "a,' ＝1;'@x",
		"a\t=1":                "a    =1",
		"\t=1":                 "'    =1",
		"":                     "",
	} {
		if got := Cell(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzCell(f *testing.F) {
	f.Add(printabletest.Hostile)
	f.Add("a|=cmd|' /C calc'!A0")
	f.Fuzz(func(t *testing.T, text string) {
		cell := Cell(text)
		printabletest.Check(t, "Cell", cell)
		for piece := range strings.FieldsFuncSeq(cell, func(r rune) bool { return strings.ContainsRune(";|,", r) }) {
			sign, _ := utf8.DecodeRuneInString(strings.TrimLeft(piece, " \u00a0\""))
			if strings.ContainsRune("=+-@＝＋－＠", sign) {
				t.Errorf("%q gives %q, where %q is a formula", text, cell, piece)
			}
		}
	})
}
