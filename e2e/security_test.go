package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityTable: every line of the table in docs/security.md names tests that are there.
func TestSecurityTable(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	file, name := regexp.MustCompile("`([a-z0-9_/.-]+(?:_test\\.go|\\.txtar))`"), regexp.MustCompile(`\bTest[A-Z]\w+`)
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[1]) == "who" {
			continue
		}
		rows++
		files := file.FindAllStringSubmatch(cells[5], -1)
		if len(files) == 0 {
			t.Errorf("no test is named for %s", cells[2])
		}
		var sources string
		for _, f := range files {
			source, err := os.ReadFile(filepath.Join("..", f[1]))
			if err != nil {
				t.Error(err)
			}
			sources += string(source)
		}
		for _, test := range name.FindAllString(cells[5], -1) {
			if !strings.Contains(sources, "func "+test+"(") {
				t.Errorf("%s is not in %v", test, files)
			}
		}
	}
	if rows < 15 {
		t.Errorf("the table has %d rows", rows)
	}
}
