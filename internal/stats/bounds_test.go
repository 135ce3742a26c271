package stats

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// TestBounds: a packed log that is a thousand times as large unpacked, and one of nothing but a hole, are
// read in part, and the report says so.
func TestBounds(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	const (
		line = "Mon Nov 23 03:27:57 UTC 2026 /x/active-response/bin/firewall-drop add - 203.0.113.7 1.2 5712 - " +
			"Blocked IP: 203.0.113.7\n"
		alert = "** Alert 1795400000.1: - x\n2026 Nov 23 03:27:57 web->/x/active-responses.log\n" +
			"Rule: 601 (level 3) -> 'x'\n" + line + "\n"
		first = "only the first 8 MiB of LOG are counted"
	)
	small := Query{mostBytes: 8 << 20}
	for _, test := range []struct {
		name, log string
		q         Query
		blocks    uint64
		want      string
	}{
		{"bytes, packed", "active-responses.log.1.gz", small, 1, first},
		{"bytes of alerts", "alerts/alerts.log.1.gz", small, 1, first},
		{"bytes of a hole", "active-responses.log.1", small, 1, first},
		{"time", "active-responses.log.1.gz", Query{mostTime: 1}, 0,
			"reading took longer than 1ns: only the first part of LOG"},
		{"thorough", "active-responses.log.1.gz", Query{Thorough: true, mostBytes: 8 << 20, mostTime: 1}, 1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := ossec.Home(t.TempDir())
			path := filepath.Join(home.Logs(), test.log)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			count, text := (*Query).Responses, line
			if strings.HasPrefix(test.log, "alerts") {
				count, text = (*Query).Alerts, alert
			}
			var file bytes.Buffer
			file.WriteString(text)
			if strings.HasSuffix(path, ".gz") {
				file.Reset()
				packed := gzip.NewWriter(&file)
				_, err := packed.Write(append([]byte(text), bytes.Repeat([]byte("\n"), 32<<20)...))
				if err := errors.Join(err, packed.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(path, ".gz") {
				if err := os.Truncate(path, 1<<40); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chtimes(path, now, now); err != nil {
				t.Fatal(err)
			}
			q := test.q
			q.Home, q.Log, q.Now = home, home.ResponseLog(), now
			r, err := count(&q)
			if err != nil || r.Totals.Blocks != test.blocks {
				t.Errorf("%d blocks, %v; want %d", r.Totals.Blocks, err, test.blocks)
			}
			notes := strings.Join(r.Log.Notes, "\n")
			if want := strings.ReplaceAll(test.want, "LOG", path); !strings.Contains(notes, want) ||
				want == "" && strings.Contains(notes, "counted") {
				t.Errorf("notes: %s\nwant %q", notes, want)
			}
		})
	}
}

// TestManyFiles: any number of files that seem to be rotated ones takes no time to speak of.
func TestManyFiles(t *testing.T) {
	home := ossec.Home(t.TempDir())
	if err := os.MkdirAll(home.Logs(), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 6000 {
		for _, suffix := range []string{"", ".xz"} {
			name := fmt.Sprintf("%s-20261123-%d%s", home.ResponseLog(), i, suffix)
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, notes, _ := responseLogs(home.ResponseLog()).list()
	want := fmt.Sprintf("%d more files that seem to be rotated from %s are not read", 2*6000-maxFiles-maxNotes,
		home.ResponseLog())
	if len(files) != maxFiles || len(notes) != maxNotes+1 || notes[maxNotes] != want {
		t.Errorf("%d files, notes %q", len(files), notes)
	}
}
