package ossec

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leaves returns what WalkConf finds, one "LINE PATH=TEXT" each.
func leaves(conf string) ([]string, error) {
	var found []string
	err := WalkConf([]byte(conf), func(e Element) {
		found = append(found, fmt.Sprintf("%d %s=%s", e.Line, strings.Join(e.Path, "/"), e.Text))
	})
	return found, err
}

func TestWalkConf(t *testing.T) {
	for _, test := range []struct {
		name, conf string
		want       []string
		broken     string // in the error; "" for none
	}{
		{"nothing", "", nil, ""},
		{"only text", "hello\n", nil, ""},
		{"one root", "<ossec_config>\n  <global>\n    <white_list>127.0.0.1</white_list>\n    <white_list>\n ::1 </white_list>\n  </global>\n</ossec_config>\n",
			[]string{"3 ossec_config/global/white_list=127.0.0.1", "4 ossec_config/global/white_list=::1"}, ""},
		{"several roots", "<ossec_config><a>1</a></ossec_config>\n<ossec_config><a>2</a></ossec_config><agent_config><a>3</a></agent_config>",
			[]string{"1 ossec_config/a=1", "2 ossec_config/a=2", "2 agent_config/a=3"}, ""},
		{"declaration and document type", "<?xml version=\"1.0\"?>\n<!DOCTYPE x>\n<r><a>1</a></r>", []string{"3 r/a=1"}, ""},
		{"comments", "<r><!-- <a>1</a>\n\n --><a>2</a><!----><a>3<!-- 4 -->5</a></r>", []string{"3 r/a=2", "3 r/a=35"}, ""},
		{"a comment that looks like its end", "<r><!-- -> -- > <a>1</a> --><a>2</a></r>", []string{"1 r/a=2"}, ""},
		{"CDATA", "<r><a>1</a><![CDATA[ <a>2</a> ]> ]]><a>3</a></r>", []string{"1 r/a=1", "1 r/a=3"}, ""},
		{"entities", "<r><a>&lt;&amp;&gt; &quot;&apos; &#65;&#x42;&#X43;</a></r>", []string{`1 r/a=<&> "' ABC`}, ""},
		{"ampersands that are none", "<r><a>a&b &nosuch; &#; &#xd800; &#99999999; &amp;lt; &</a></r>", []string{"1 r/a=a&b &nosuch; &#; &#xd800; &#99999999; &lt; &"}, ""},
		{"CRLF", "<r>\r\n  <a>1\r\n</a>\r\n  <a>2</a>\r\n</r>\r\n", []string{"2 r/a=1", "4 r/a=2"}, ""},
		{"attributes and blanks", "<r x='1'>\n<A  level=\"7\" >1</A >\n<b\n>2</b\n></r>", []string{"2 r/a=1", "3 r/b=2"}, ""},
		{"empty tags", "<r><a/><a /><b></b></r>", []string{"1 r/b="}, ""},
		{"text beside tags", "<r>x<a>1</a>y</r>", []string{"1 r/a=1"}, ""},
		{"a BOM", "\xef\xbb\xbf<r><a>1</a></r>", []string{"1 r/a=1"}, ""},
		{"other letters", "<r><a>b\xfcro</a></r>", []string{"1 r/a=b\xfcro"}, ""},
		{"cut off", "<r><a>1</a><b>2", []string{"1 r/a=1"}, "<r> is never closed"},

		{"an unclosed tag", "<r>\n<stray>\n<a>1</a></r>\n<r><a>2</a></r>", []string{"3 r/stray/a=1", "4 r/a=2"}, "line 2: not well-formed: <stray> is never closed"},
		{"an unclosed leaf", "<r><a>1\n</r><r><a>2</a></r>", []string{"2 r/a=2"}, "line 1: not well-formed: <a> is never closed"},
		{"closed twice", "<r><a>1</a></a><a>2</a></r>", []string{"1 r/a=1", "1 r/a=2"}, "</a> closes nothing"},
		{"closed crosswise", "<r><x><a>1</x></a><a>2</a></r>", []string{"1 r/a=2"}, "</a> closes nothing"},
		{"a stray <", "<r><a>1 < 2</a><b>3</b></r>", []string{"1 r/a=1 < 2", "1 r/b=3"}, "a '<' that opens no tag"},
		{"a < before a number", "<r><a><5</a></r>", []string{"1 r/a=<5"}, "a '<' that opens no tag"},
		{"a tag without its end", "<r><a <b>1</b></r>", []string{"1 r/b=1"}, "a '<' that opens no tag"},
		{"a comment without its end", "<r><!-- <a>1</a></r>", []string{"1 r/a=1"}, "a '<' that opens no tag, comment"},
		{"a declaration without its end", "<r><? <a>1</a></r>", []string{"1 r/a=1"}, "a '<' that opens no tag, comment or declaration"},
		{"nested too deep", strings.Repeat("<a>", 40) + "1" + strings.Repeat("</a>", 40) + "<b>2</b>", []string{"1 " + strings.Repeat("a/", 31) + "a=1", "1 b=2"}, "tags nested too deep"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := leaves(test.conf)
			if d := cmp.Diff(test.want, found); d != "" {
				t.Errorf("%q (-want +got):\n%s", test.conf, d)
			}
			switch {
			case test.broken == "" && err != nil:
				t.Error(err)
			case test.broken != "" && (!errors.Is(err, ErrBrokenConf) || !strings.Contains(err.Error(), test.broken)):
				t.Errorf("error is %v, want %q", err, test.broken)
			}
		})
	}
}

// TestWalkConfParents: leaves of one block are kept apart from those of the next.
func TestWalkConfParents(t *testing.T) {
	var got []int
	err := WalkConf([]byte("<r><x><a>1</a><b>2</b></x><x><a>3</a></x><c>4</c></r><a>5</a>"), func(e Element) { got = append(got, e.Parent) })
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got[0] != got[1] || got[0] == got[2] || got[2] == got[3] || got[3] == got[4] {
		t.Errorf("parents are %v, want those of a and b alike and the others each another", got)
	}
}

// TestWalkConfLarge: files that are large or broken all over are read in time that grows
// with their size only, without keeping them, and the faults reported are few and short.
func TestWalkConfLarge(t *testing.T) {
	const size = 3 << 20
	const tail = "<white_list>10.9.8.7</white_list>"
	for _, test := range []struct{ name, piece string }{
		{"entries", "<g><white_list>10.0.0.1</white_list></g>\n"},
		{"comments without an end", "<!-- "},
		{"declarations without an end", "<? "},
		{"CDATA without an end", "<![CDATA["},
		{"tags without an end", "<a "},
		{"stray signs", "< "},
		{"tags that are never closed", "<a>"},
		{"tags that were never opened", "</a>"},
		{"text", "0123456789"},
		{"line breaks", "\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf := []byte(strings.Repeat(test.piece, size/len(test.piece)) + tail)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			last := ""
			err := WalkConf(conf, func(e Element) { last = e.Text })
			runtime.ReadMemStats(&after)
			if last != "10.9.8.7" && test.name != "tags that are never closed" {
				t.Errorf("the last leaf is %q", last)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 6*size {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
	_, err := leaves("<" + strings.Repeat("a", size) + ">")
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("an endless name: an error of %d bytes", len(fmt.Sprint(err)))
	}
}

func TestReadConf(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pipe, large := filepath.Join(dir, "pipe"), put("large", "<r><a>1</a></r>")
	foreign := put("foreign", "<r><a>1</a></r>")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Truncate(large, maxConf+1), os.Chmod(foreign, 0o660),
		os.Truncate(foreign, maxForeign+1)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		found      int
		want       string // in the error; "" for none
	}{
		{"sound", put("sound", "<r><a>1</a></r>"), 1, ""},
		{"empty", put("empty", ""), 0, ""},
		{"broken", put("broken", "<r><a>1</a>"), 1, "reading configuration " + dir + "/broken: line 1: not well-formed"},
		{"missing", filepath.Join(dir, "missing"), 0, "no such file"},
		{"a folder", dir, 0, "is a directory"},
		{"a pipe that nobody writes to", pipe, 0, "is no plain file"},
		{"too large for others' own", foreign, 0, "larger than 512 KiB"},
		{"too large", large, 0, "larger than 32768 KiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := 0
			err := ReadConf(test.path, func(Element) { found++ })
			if found != test.found {
				t.Errorf("%d leaves, want %d", found, test.found)
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
			if errors.Is(err, os.ErrNotExist) != (test.name == "missing") {
				t.Errorf("ErrNotExist: %v", err)
			}
		})
	}
}

// FuzzWalkConf: whatever stands before it, a whitelist entry is found, once, on its line.
func FuzzWalkConf(f *testing.F) {
	for _, conf := range []string{
		"", "<ossec_config>\n<global>\n<white_list>&lt;1</white_list>\n</global>\n</ossec_config>", "<!-- ", "<!", "<?xml", "<a <b", "</a></b>", "<![CDATA[ ]>",
		"<a></b><c/><d e='f'>", "&#x110000;<a>&amp", "<a\n\n>",
	} {
		f.Add([]byte(conf))
	}
	const block = "\n<ossec_config>\n<global>\n<white_list>10.9.8.7</white_list>\n</global>\n</ossec_config>\n"
	f.Fuzz(func(t *testing.T, before []byte) {
		conf := append(bytes.Clone(before), block...)
		lines := bytes.Count(conf, []byte("\n")) + 1
		at := bytes.Count(before, []byte("\n")) + 4
		found := 0
		err := WalkConf(conf, func(e Element) {
			if len(e.Path) == 0 || len(e.Path) > maxDepth || e.Line < 1 || e.Line > lines {
				t.Errorf("%d names deep, line %d of %d", len(e.Path), e.Line, lines)
			}
			if e.Path[len(e.Path)-1] == "white_list" && e.Text == "10.9.8.7" && e.Line == at {
				found++
			}
		})
		if err != nil && !errors.Is(err, ErrBrokenConf) {
			t.Errorf("another error: %v", err)
		}
		if deep := bytes.Count(before, []byte("<")) > maxDepth-3; found != 1 && !deep {
			t.Errorf("found %d times behind %q (%v)", found, before, err)
		}
	})
}
