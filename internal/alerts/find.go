package alerts

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Disorder is how far, in seconds, ids may stand out of order: analysisd numbers an alert
// before it writes it.
const Disorder = 5

// Find looks in the folder of alerts for those of the ids: in alerts.log, the files of the ids'
// days, packed or not, then in alerts.json and its days' files. Each file is read at most once,
// from the second of the oldest id up to that of the newest; a packed one from its beginning. What
// is missing in the result is not written yet, never will be (its level is below log_alert_level),
// or its file is gone. The error is of files that could not be read, or ctx's, which ends after maxSearch:
// the daemons' account can leave files of any size there.
func Find(ctx context.Context, dir string, ids ...string) (map[string]*Alert, error) {
	ctx, stop := context.WithTimeout(ctx, maxSearch)
	defer stop()
	s := search{ctx: ctx, found: map[string]*Alert{}, missing: map[string]bool{}}
	seconds := map[int64]bool{}
	for _, id := range ids {
		if second, ok := idSecond(id); ok {
			s.missing[id], seconds[second] = true, true
		}
	}
	var faults []error
	for _, path := range files(dir, seconds) {
		if err := s.file(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, fmt.Errorf("looking for alerts: %w", err))
		}
	}
	return s.found, errors.Join(faults...)
}

// files names the files that may hold an alert of one of the seconds.
func files(dir string, seconds map[int64]bool) []string {
	days := map[string]bool{}
	for second := range seconds {
		for _, s := range []int64{second, second - Disorder, second + Disorder} {
			days[time.Unix(s, 0).Format("2006/Jan/ossec-alerts-02")] = true
		}
	}
	var paths []string
	for _, kind := range []string{".log", ".json"} {
		paths = append(paths, filepath.Join(dir, "alerts"+kind))
		for day := range days {
			paths = append(paths, filepath.Join(dir, day+kind), filepath.Join(dir, day+kind+".gz"))
		}
	}
	return paths
}

// maxSearch bounds Find.
const maxSearch = 20 * time.Second

// patient is a reader that ends with the context.
type patient struct {
	ctx context.Context
	io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.Reader.Read(b)
}

// search is what is looked for, and what was found of it.
type search struct {
	ctx     context.Context
	found   map[string]*Alert
	missing map[string]bool
}

// span returns the seconds between which the missing alerts stand in a file.
func (s *search) span() (from, to int64) {
	var seconds []int64
	for id := range s.missing {
		second, _ := idSecond(id) // only such ids are looked for
		seconds = append(seconds, second)
	}
	return slices.Min(seconds) - Disorder, slices.Max(seconds) + Disorder
}

// file looks into one file. Neither a pipe nor a device in its place may hold the caller up.
func (s *search) file(path string) error {
	if len(s.missing) == 0 {
		return nil
	}
	file, info, err := state.OpenFile(path)
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	if strings.HasSuffix(path, ".gz") {
		unpacked, err := gzip.NewReader(file)
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", path, err)
		}
		return s.read(NewScanner(patient{s.ctx, io.LimitReader(unpacked, maxUnpacked)}))
	}
	from, _ := s.span()
	return s.read(s.scannerAt(file, s.position(file, info.Size(), from), info.Size()))
}

// maxUnpacked bounds how much of a packed file is read, in bytes.
const maxUnpacked = 4 << 30

// read goes through the alerts of one file.
func (s *search) read(scanner *Scanner) error {
	_, to := s.span()
	for len(s.missing) > 0 && scanner.Scan() {
		a := scanner.Alert()
		if s.missing[a.ID] {
			delete(s.missing, a.ID)
			found := *a
			found.Groups, found.Log = slices.Clone(a.Groups), slices.Clone(a.Log)
			s.found[a.ID] = &found
		}
		if second, _ := idSecond(a.ID); second > to {
			return nil
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
	}
	return scanner.Err()
}

// scannerAt scans file[at:size].
func (s *search) scannerAt(file io.ReaderAt, at, size int64) *Scanner {
	first := make([]byte, 1)
	_, _ = file.ReadAt(first, 0) // of an empty file nothing is scanned
	start := max(0, at-1)        // the line break before
	scanner := NewScanner(patient{s.ctx, io.NewSectionReader(file, start, size-start)})
	scanner.started, scanner.json, scanner.midLine = true, first[0] == '{', start > 0
	return scanner
}

// block is how near, in bytes, position comes.
const block = 64 << 10

// position returns a place in the file behind which all alerts of that second and later stand:
// they are in the order of their seconds.
func (s *search) position(file io.ReaderAt, size, second int64) int64 {
	low, high := int64(0), size
	for high-low > block {
		middle := low + (high-low)/2
		scanner := s.scannerAt(file, middle, high)
		if found := scanner.Scan(); !found {
			high = middle
		} else if at, _ := idSecond(scanner.Alert().ID); at < second {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}
