package stats

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// family is a log and its rotated ones.
type family struct {
	current string // the log that is written to
	dated   string // folder with the dated ones in YYYY/Mon/, "" for none
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

// list returns the files of the family that exist, the current one first, and notes on
// those that were skipped. A file that has two names counts once.
func (f family) list() ([]logFile, []string, error) {
	var files []logFile
	var notes []string
	var rotated *regexp.Regexp
	seen := map[fileID]bool{}
	add := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s: %w", path, errNotPlain)
		}
		id := idOf(info)
		if plain, ok := strings.CutSuffix(path, ".gz"); seen[id] || ok &&
			slices.ContainsFunc(files, func(l logFile) bool { return l.path == plain }) {
			return nil // the latter: it is being packed just now
		}
		seen[id] = true
		files = append(files, logFile{path: path, gz: strings.HasSuffix(path, ".gz"), size: info.Size(),
			mod: info.ModTime(), id: id})
		return nil
	}
	missing := add(f.current) // first of all: if it is rotated now, its id is known
	dir, base := filepath.Split(f.current)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil && missing == nil {
		notes = append(notes, fmt.Sprintf("rotated logs were not looked for: %v", err))
	}
	for _, entry := range entries { // in order of names: "x.1" is before "x.1.gz"
		end, ok := strings.CutPrefix(entry.Name(), base)
		if !ok || end == "" {
			continue
		}
		if rotated == nil {
			rotated = regexp.MustCompile(suffix)
		}
		switch match := rotated.FindStringSubmatch(end); {
		case match == nil:
		case match[3] == "" || match[3] == ".gz":
			_ = add(dir + entry.Name()) // gone since: rotated again
		default:
			notes = append(notes, fmt.Sprintf("%s is not read: only .gz can be unpacked", dir+entry.Name()))
		}
	}
	if f.dated != "" {
		// the pattern is well-formed
		paths, _ := filepath.Glob(f.dated + "/[0-9][0-9][0-9][0-9]/[A-Z][a-z][a-z]/*")
		name := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(f.name) })
		for _, path := range paths {
			if name().MatchString(filepath.Base(path)) {
				_ = add(path)
			}
		}
	}
	return files, notes, missing
}

// open returns the file, and a reader of what it holds, unpacked.
func (l *logFile) open() (*os.File, io.Reader, error) {
	file, err := openPlain(l.path)
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

// openPlain opens a plain file. Opening a pipe in its place would wait for ever: others
// than root can write in the log folder.
func openPlain(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, errNotPlain)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

var errNotPlain = errors.New("not a plain file")

// unpackedSize returns how many bytes a packed file holds, by its own trailer.
func (l *logFile) unpackedSize() int64 {
	if !l.gz {
		return l.size
	}
	file, err := openPlain(l.path)
	if err != nil {
		return l.size
	}
	defer file.Close() // only read from
	var tail [4]byte   // RFC 1952, 2.3.1: ISIZE
	if _, err := file.ReadAt(tail[:], l.size-4); err != nil {
		return l.size
	}
	return max(int64(binary.LittleEndian.Uint32(tail[:])), l.size)
}

// maxHead bounds how far the first time is looked for, in bytes.
const maxHead = 4 << 20

// readFirst finds the time of the first line that has one. timeOf reads a line's.
func (l *logFile) readFirst(timeOf func(line []byte) (int64, bool)) error {
	file, r, err := l.open()
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	in := bufio.NewReaderSize(io.LimitReader(r, maxHead), 16<<10)
	for inLine := false; ; {
		piece, err := in.ReadSlice('\n')
		if t, ok := timeOf(piece); ok && !inLine {
			l.first = t
			return nil
		}
		inLine = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !inLine {
			return nil // an empty one, or a fault shows when it is read
		}
	}
}

// inOrder sorts by the first time, or where there is none by that of the last change.
func inOrder(files []logFile) {
	slices.SortStableFunc(files, func(a, b logFile) int { return cmp.Compare(a.begin(), b.begin()) })
}

func (l *logFile) begin() int64 {
	if l.first != 0 {
		return l.first
	}
	return l.mod.Unix()
}
