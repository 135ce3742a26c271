package alerts

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const firstSecond = 1795392000 // 2026-11-23 00:00:00 UTC

// alertText writes count alerts, one each second from second, and returns their ids. With
// offsets the number of an id is its place in the file, else a running one.
func alertText(second int64, count int, offsets bool) ([]byte, []string) {
	var b bytes.Buffer
	var ids []string
	for i := range count {
		number := int64(i + 1)
		if offsets {
			number = int64(b.Len())
		}
		id := fmt.Sprintf("%d.%d", second+int64(i), number)
		ids = append(ids, id)
		b.WriteString(strings.Replace(sshAlert, "1795422839.8", id, 1))
	}
	return b.Bytes(), ids
}

func put(t *testing.T, dir string, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(data)
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		data = packed.Bytes()
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func dayFile(second int64) string {
	return time.Unix(second, 0).Format("2006/Jan/ossec-alerts-02")
}

func TestFind(t *testing.T) {
	const now = firstSecond + 86400
	old := time.Unix(firstSecond, 0).Add(12 * time.Hour).Unix()
	for _, offsets := range []bool{false, true} {
		current, nowIDs := alertText(now, 3000, offsets)
		past, oldIDs := alertText(old, 3000, offsets)
		var lines bytes.Buffer
		for _, id := range nowIDs {
			fmt.Fprintf(
				&lines,
				`{"rule":{"level":7,"sidid":5712},"id":%q,"user":%q,"full_log":"x \"%s\""}`+"\n",
				id,
				nowIDs[1],
				nowIDs[2],
			)
		}
		for _, layout := range []struct {
			name string
			put  func(string)
		}{
			{"text", func(d string) { put(t, d, "alerts.log", current); put(t, d, dayFile(old)+".log", past) }},
			{"packed", func(d string) { put(t, d, "alerts.log", current); put(t, d, dayFile(old)+".log.gz", past) }},
			{"json", func(d string) { put(t, d, "alerts.json", lines.Bytes()); put(t, d, dayFile(old)+".log", past) }},
		} {
			t.Run(fmt.Sprintf("%s offsets=%v", layout.name, offsets), func(t *testing.T) {
				dir := t.TempDir()
				layout.put(dir)
				for _, i := range []int{0, 1, 2, 1500, 2998, 2999} {
					for _, id := range []string{nowIDs[i], oldIDs[i]} {
						found, err := Find(context.Background(), dir, id)
						if a := found[id]; err != nil || a == nil || a.ID != id || a.Partial {
							t.Errorf("Find(%s) = %+v, %v", id, a, err)
						}
					}
				}
				for _, id := range []string{fmt.Sprintf("%d.999999", now+5), "1.1", "x", "", "1.2.3", nowIDs[0] + "0", "99999999999999999999.1"} {
					if found, err := Find(context.Background(), dir, id); len(found) > 0 || err != nil {
						t.Errorf("Find(%q) = %+v, %v", id, found, err)
					}
				}
				all := append(slices.Clone(nowIDs), oldIDs...)
				if found, err := Find(context.Background(), dir, append(all, "1.1")...); len(
					found,
				) != len(
					all,
				) ||
					err != nil {
					t.Errorf("%d of %d found together, %v", len(found), len(all), err)
				}
			})
		}
	}
}

func TestFindOutOfOrder(t *testing.T) {
	text, ids := alertText(firstSecond, 5000, false)
	alerts := bytes.SplitAfter(text, []byte("\n\n"))
	for i := 10; i+3 < len(alerts); i += 7 {
		alerts[i], alerts[i+3] = alerts[i+3], alerts[i]
	}
	dir := t.TempDir()
	put(t, dir, "alerts.log", bytes.Join(alerts, nil))
	for i, id := range ids {
		if i%31 != 0 && i < len(ids)-50 {
			continue
		}
		if found, err := Find(context.Background(), dir, id); found[id] == nil || err != nil {
			t.Fatalf("%s is not found: %v", id, err)
		}
	}
}

// A log line that looks like a header of the sought id must not be taken for it when it
// does not begin a line.
func TestFindForged(t *testing.T) {
	dir := t.TempDir()
	id := fmt.Sprintf("%d.77", firstSecond)
	forged := strings.Replace(sshAlert, "Failed password", alertMark+id+": - forged,", 1)
	put(t, dir, "alerts.log", []byte(forged))
	if found, err := Find(context.Background(), dir, id); len(found) > 0 || err != nil {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestFindPipeDoesNotHang(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "alerts.log", nil)
	if err := os.Remove(filepath.Join(dir, "alerts.log")); err != nil {
		t.Fatal(err)
	}
	if err := mkfifo(filepath.Join(dir, "alerts.log")); err != nil {
		t.Skip(err)
	}
	if _, err := Find(context.Background(), dir, "1795422839.8"); err == nil ||
		!strings.Contains(err.Error(), "no plain file") {
		t.Errorf("err = %v", err)
	}
}

// A place in the middle of a line begins none, whatever stands there.
func TestPositionForged(t *testing.T) {
	text, _ := alertText(firstSecond, 3000, false)
	forged := bytes.ReplaceAll(text, []byte("Failed password"), []byte(alertMark+"9999999999.1: - forged, "))
	for second := int64(firstSecond); second < firstSecond+3000; second += 17 {
		at := (&search{ctx: t.Context()}).position(bytes.NewReader(forged), int64(len(forged)), second)
		want := fmt.Sprintf("%s%d.", alertMark, second)
		if i := bytes.Index(forged, []byte(want)); i < int(at) || i > int(at)+2*block {
			t.Fatalf("second %d stands at %d, found %d", second, i, at)
		}
	}
}

func BenchmarkPosition(b *testing.B) {
	text, _ := alertText(firstSecond, 200000, false)
	file := bytes.NewReader(text)
	for b.Loop() {
		if at := (&search{ctx: b.Context()}).position(file, file.Size(), firstSecond+777); at == 0 {
			b.Fatal(at)
		}
	}
}

// TestFindEndless: a file of nothing, which takes up no room, holds nobody up for longer than he waits.
func TestFindEndless(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.log")
	if err := errors.Join(os.WriteFile(path, []byte(alertMark+"1795422830.1: - x\n"), 0o600),
		os.Truncate(path, 1<<40)); err != nil {
		t.Skip(err) // the file system has no files of that size
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := Find(ctx, dir, "1795422839.8"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
