package app

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
)

// An error may have any text in it: a file's name, what a server or a log says.
func TestComplainIsPrintable(t *testing.T) {
	var stderr bytes.Buffer
	p := New(Env{Args: []string{"x"}, Stderr: &stderr}, "x")
	p.Hint = func(error) string { return printabletest.Hostile }
	p.Complain(errors.New(printabletest.Hostile))
	printabletest.Check(t, "the error", stderr.String())
	for line := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(line, "=") {
			t.Errorf("%q", line)
		}
	}
}

// A log that cannot be written is one line, however many lines were for it.
func TestAppendLogComplainsOnce(t *testing.T) {
	var stderr bytes.Buffer
	p := New(Env{Args: []string{"x"}, Stderr: &stderr}, "x")
	folder := t.TempDir()
	for range 3 {
		p.AppendLog(folder, []byte("a line\n"))
	}
	if got := stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, folder) {
		t.Errorf("printed %q", got)
	}
}
