package stats

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// family is a log and its rotated ones.
type family struct {
	current string // the log that is written to
	dated   string // folder with the dated ones in YYYY/Mon/
	name    string // of a dated one, a regular expression
}

// responseLogs is the family of logs/active-responses.log.
func responseLogs(current string) family {
	return family{current, filepath.Join(filepath.Dir(current), "active-responses"),
		`^(ossec-)?active-responses-\d\d(-\d+)?(\.log)?(\.gz)?$`}
}

// suffix is what logrotate and its like put behind a log's name: ".1", "-20261123",
// "-2026-11-23", "-20261123-1795422839", each with ".gz" or with how else it was packed.
const suffix = `^(\.\d{1,4}|[-.]\d{4}-?\d\d-?\d\d([-_.]?\d{1,10})?)(\.gz|\.xz|\.bz2|\.zst|\.lz4|\.Z|\.lzma)?$`

// logFile is one file of a family.
type logFile struct {
	path  string
	gz    bool
	json  bool  // alerts as JSON
	size  int64 // in bytes, as it lies there
	mod   time.Time
	id    fileID
	first int64 // time of the first line that has one, in seconds; 0 when none was found
}

// fileID identifies a file, whatever its name is. Folders of rotated logs may be on a file
// system of their own.
type fileID struct{ device, inode uint64 }

func idOf(info os.FileInfo) fileID {
	stat := info.Sys().(*syscall.Stat_t)
	return fileID{uint64(stat.Dev), stat.Ino} // 32 bits on some
}

// What list returns at the most, of files and of notes: the daemons' account can leave any number.
const (
	maxFiles = 5000
	maxNotes = 10
)

// list returns the files of the family that exist, the current one first, and notes on
// those that were skipped. A file that has two names counts once.
func (f family) list() (files []logFile, notes []string, err error) {
	missing := add(&files, f.current) // first of all: if it is rotated now, its id is known
	dir, base := filepath.Split(f.current)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil && missing == nil {
		notes = append(notes, fmt.Sprintf("rotated logs were not looked for: %v", err))
	}
	rotated := regexp.MustCompile(suffix)
	more, foreign := 0, 0
	for _, entry := range entries { // in order of names: "x.1" is before "x.1.gz"
		end, ok := strings.CutPrefix(entry.Name(), base)
		if !ok {
			continue
		}
		switch match := rotated.FindStringSubmatch(end); {
		case match == nil:
		case len(files) == maxFiles:
			more++
		case match[3] == "" || match[3] == ".gz":
			_ = add(&files, dir+entry.Name()) // gone since: rotated again
		case foreign == maxNotes:
			more++
		default:
			foreign++
			notes = append(notes, fmt.Sprintf("%s is not read: only .gz can be unpacked", dir+entry.Name()))
		}
	}
	name := regexp.MustCompile(f.name)
	// the pattern is well-formed
	paths, _ := filepath.Glob(f.dated + "/[0-9][0-9][0-9][0-9]/[A-Z][a-z][a-z]/*")
	for _, path := range paths {
		switch {
		case !name.MatchString(filepath.Base(path)):
		case len(files) == maxFiles:
			more++
		default:
			_ = add(&files, path)
		}
	}
	if more > 0 {
		notes = append(notes, fmt.Sprintf("%d more files that seem to be rotated from %s are not read", more,
			f.current))
	}
	return files, notes, missing
}

// add adds the file at path, unless it is there under another name.
func add(files *[]logFile, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a plain file", path)
	}
	plain, gz := strings.CutSuffix(path, ".gz")
	id := idOf(info)
	if !slices.ContainsFunc(*files, func(l logFile) bool {
		return l.id == id || gz && l.path == plain // the latter: it is being packed just now
	}) {
		*files = append(*files, logFile{path: path, gz: gz, size: info.Size(), mod: info.ModTime(), id: id})
	}
	return nil
}

// Unread returns why rotated ones of a log are not read: a note where one is packed as nobody here
// can unpack it, an error where it cannot be opened.
func Unread(log string) (notes []string, err error) {
	files, notes, _ := responseLogs(log).list() // an error is about the log itself
	var errs []error
	for _, f := range files {
		if f.path == log {
			continue
		}
		file, _, err := f.open()
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %s: %w", f.path, err))
		}
	}
	return notes, errors.Join(errs...)
}

// open returns the file, and a reader of what it holds, unpacked.
func (l *logFile) open() (*os.File, io.Reader, error) {
	file, _, err := state.OpenFile(l.path)
	if err != nil {
		return nil, nil, err
	}
	if !l.gz {
		return file, file, nil
	}
	unpacked, err := gzip.NewReader(bufio.NewReaderSize(file, 64<<10))
	if err != nil {
		_ = file.Close()
		return nil, nil, fmt.Errorf("unpacking: %w", err)
	}
	return file, unpacked, nil
}

// maxHead bounds how far a time is looked for, in bytes.
const maxHead = 4 << 20

// firstTime finds the first line that has a time, which timeOf reads, and returns where it
// begins. inLine is set when r begins in the middle of a line.
func firstTime(r io.Reader, inLine bool, timeOf func(string) (time.Time, bool)) (at, when int64, ok bool) {
	in := bufio.NewReaderSize(io.LimitReader(r, maxHead), 4<<10)
	for {
		piece, err := in.ReadSlice('\n')
		if t, ok := timeOf(string(piece)); ok && !inLine {
			return at, t.Unix(), true
		}
		at += int64(len(piece))
		inLine = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !inLine {
			return 0, 0, false // a fault shows when it is read
		}
	}
}

// readFirst finds the time of the file's first line that has one.
func (l *logFile) readFirst(timeOf func(string) (time.Time, bool)) {
	if file, r, err := l.open(); err == nil {
		_, l.first, _ = firstTime(r, false, timeOf)
		_ = file.Close() // only read from
	}
}

// begin is the first time, or where there is none that of the last change.
func (l *logFile) begin() int64 {
	if l.first != 0 {
		return l.first
	}
	return l.mod.Unix()
}

// slack is by how many seconds a line may be older than one before it for a period
// still to be found whole: the repeated hour when summer time ends, and as much again
// for a clock that was set back. Lines of a clock that went back further may be missed
// in a log that is large enough to be bisected; the report says so where it sees it.
const slack = 2 * 3600

const (
	// bisectFrom is the size from which on a log is bisected, in bytes: a smaller one is
	// read whole within a few milliseconds.
	bisectFrom = 1 << 20
	// bisectStep is how close a bisection comes, in bytes.
	bisectStep = 64 << 10
)

// bisect returns beginnings of lines in a log of size bytes that is ordered by time:
// all lines before low are older than when (in seconds), all lines from high on are not.
func bisect(log io.ReaderAt, size, when int64, timeOf func(string) (time.Time, bool)) (low, high int64) {
	high = size
	sort.Search(int(size/bisectStep), func(step int) bool {
		from := int64(step) * bisectStep
		at, t, ok := firstTime(io.NewSectionReader(log, from, high-from), step > 0, timeOf)
		switch {
		case ok && t < when:
			low = from + at
			return false
		case ok:
			high = from + at
		}
		return true
	})
	return low, high
}
