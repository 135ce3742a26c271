package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/stats"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// logs looks at what is logged, and who reads it.
type logs struct{ *host }

func (h *host) logFiles() []string {
	all := []string{h.Home.ResponseLog()}
	for _, s := range h.subjects {
		all = append(all, s.Logs...)
	}
	slices.Sort(all)
	return slices.Compact(all) // two programs may write one log
}

// writable checks whether the logs can be written, without writing.
func (h logs) writable(_ context.Context, s *sheet) {
	files := h.logFiles()
	if h.Settings.Log.JSON {
		files = append(files, h.Home.JSONLog())
	}
	for _, path := range files {
		h.file(s, path)
	}
	s.ok("can be written: %s", some(files))
}

func (h logs) file(s *sheet, path string) {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) { // the first line makes it
		dir := existing(filepath.Dir(path))
		if err := writable(dir); err != nil {
			s.fault(h.writing(dir, err), "%s cannot be made: %s: %v", path, dir, err)
		}
		return
	}
	if err != nil {
		s.fault("look at it with ls -l", "%v", err)
		return
	}
	links := info.Sys().(*syscall.Stat_t).Nlink
	aside := "mv " + path + " " + path + ".old"
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		s.fault("rm "+path, "%s is a symbolic link: nothing is written to it, for it could lead anywhere",
			path)
		return
	case !mode.IsRegular():
		s.fault(aside, "%s is no plain file: nothing is written to it", path)
		return
	case links > 1:
		s.fault(aside, "%s has %d names: nothing is written to it, for it may be another file's", path, links)
		return
	}
	if err := writable(path); err != nil {
		mend := "chown root " + path + " && chmod 0660 " + path + " (and see `lsattr` when that does not help)"
		if errors.Is(err, syscall.EROFS) {
			mend = h.writing(path, err)
		}
		s.fault(mend, "%s cannot be written to: %v", path, err)
	}
	if mode := info.Mode().Perm(); mode&0o006 != 0 {
		s.warn("chmod o-rw "+path, "%s is open to everybody (mode %04o): who may write to it can make up "+
			"blocks that OSSEC believes", path, mode)
	}
}

// maxTail is how much of the end of the log is looked through, in bytes.
const maxTail = 4 << 20

// tail returns the end of a log, "" when it cannot be read.
func tail(path string) string {
	file, err := state.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	_ = file.SeekTail(maxTail)                           // else it is read from its beginning
	text, _ := io.ReadAll(io.LimitReader(file, maxTail)) // what could be read is looked at
	return string(text)
}

// logged reports whether the log has a call of the program at path.
func (h logs) logged(path string) bool {
	log, name := tail(h.Home.ResponseLog()), "active-response/bin/"+filepath.Base(path)
	return strings.Contains(log, name+" ") || strings.Contains(log, name+": ")
}

// patience is how long after its start logcollector waits for a log to be made.
const patience = 128 * time.Second

// unread looks for a log that logcollector, which runs since a time, does not read: one that is not
// there in time is given up, for as long as it runs, and ossec.log says so.
func (h logs) unread(s *sheet, path string, since time.Time) {
	restart := h.control("restart")
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		s.warn("install -m 0660 /dev/null "+path+" && "+restart,
			"%s is not there: logcollector reads no log that is not there %d s after its start", path,
			int(patience.Seconds()))
		return
	}
	var given time.Time
	for line := range strings.Lines(tail(filepath.Join(h.Home.Logs(), "ossec.log"))) {
		_, name, found := strings.Cut(line, "File not available, ignoring it: '")
		name, _, _ = strings.Cut(name, "'")
		if found && h.names(name, path) && len(line) > len(daemonStamp) {
			given, _ = time.ParseInLocation(daemonStamp, line[:len(daemonStamp)], h.Now().Location())
		}
	}
	if !given.IsZero() && !given.Before(since.Truncate(time.Second)) {
		s.warn(restart, "%s was given up by logcollector on %s: OSSEC raises no alerts from it", path,
			stamp(given))
	}
}

// daemonStamp is how lines of ossec.log begin.
const daemonStamp = "2006/01/02 15:04:05"

// localFiles checks whether OSSEC is configured to read the logs.
func (h logs) localFiles(_ context.Context, s *sheet) {
	if h.conf.unread {
		s.skip("ossec.conf could not be read")
		return
	}
	sources := h.conf.all("localfile")
	if h.conf.agent() {
		shared := readConf(filepath.Join(string(h.Home), "etc/shared/agent.conf"))
		sources = append(sources, shared.all("localfile")...)
	}
	collector := h.find("logcollector")
	for _, path := range h.logFiles() {
		at := slices.IndexFunc(sources, func(b *block) bool { return h.names(b.text("location"), path) })
		switch {
		case at < 0:
			s.warn(fmt.Sprintf("add to %s: <localfile><log_format>syslog</log_format><location>%s</location>"+
				"</localfile>, then %s", h.conf.path, path, h.control("restart")),
				"no <localfile> names %s: OSSEC raises no alerts from it", path)
		case sources[at].text("log_format") != "syslog":
			s.warn("write <log_format>syslog</log_format> there",
				"the <localfile> of %s has the format %s", path, quote(sources[at].text("log_format")))
		case collector != nil:
			h.unread(s, path, h.startTime(collector))
		}
	}
	s.ok("OSSEC reads %s", some(h.logFiles()))
}

// rotation looks for a log that two files of logrotate name: it then refuses to rotate it.
func (h logs) rotation(_ context.Context, s *sheet) {
	const most = 1 << 16                                   // bytes of one file
	files, _ := filepath.Glob(h.path("etc/logrotate.d/*")) // the pattern is well-formed
	rotates := map[string][]string{}
	for _, file := range files {
		text, _ := state.Read(file, most) // one that cannot be read is logrotate's to report
		for line := range strings.Lines(string(text)) {
			paths, _, _ := strings.Cut(line, "{")
			for _, word := range strings.Fields(paths) {
				if word = strings.Trim(word, `"'`); word[:min(1, len(word))] != "/" {
					break // a directive, or a comment
				}
				for _, log := range h.logFiles() {
					if h.names(word, log) && !slices.Contains(rotates[log], file) {
						rotates[log] = append(rotates[log], file)
					}
				}
			}
		}
	}
	for _, log := range h.logFiles() {
		if by := rotates[log]; len(by) > 1 {
			s.warn("take the line "+log+" out of one of them",
				"%s is rotated by %s: logrotate refuses a log that is named twice", log,
				strings.Join(by, " and "))
		}
	}
	s.ok("no log is rotated twice")
}

// counted looks for rotated logs that response-stats cannot read, so that its reports are not whole.
func (h logs) counted(_ context.Context, s *sheet) {
	notes, err := stats.Unread(h.Home.ResponseLog())
	for _, note := range notes {
		s.warn("see the message: pack it with gzip instead", "%s", note)
	}
	if err != nil {
		s.warn("see the message: reports are not whole", "%v", err)
	}
	s.ok("response-stats can read the rotated logs")
}

// names reports whether the location of a <localfile> means path. It may have stars in
// it, and Wazuh takes one that is relative to its home.
func (h logs) names(location, path string) bool {
	if location == "" {
		return false
	}
	if !filepath.IsAbs(location) {
		location = filepath.Join(string(h.Home), location)
	}
	matches, err := filepath.Match(location, path)
	return location == path || err == nil && matches
}

// tooEarly is before the first release: a clock that says less was never set.
var tooEarly = time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC)

// tolerance is how far the clocks of one host's files may be ahead.
const tolerance = 5 * time.Minute

// clock looks for times that OSSEC's decoder or a reader of the log stumbles over.
func (h logs) clock(_ context.Context, s *sheet) {
	set := "set the clock"
	if h.systemd() {
		set = "timedatectl set-ntp true"
	}
	now := h.Now()
	if now.Before(tooEarly) {
		s.fault(set, "the clock says %s", now.Format(time.RFC3339))
	}
	if info, err := os.Lstat(h.Home.ResponseLog()); err == nil && info.Mode().IsRegular() &&
		info.ModTime().After(now.Add(tolerance)) {
		s.fault(set,
			"the clock says %s, but the log was written on %s: the clock was set back, or was wrong then",
			stamp(now), stamp(info.ModTime()))
	}
	zone, _ := now.Zone()
	line := strings.Fields(string(arlog.Entry{Time: now, Program: h.Home.Programs() + "/" + h.subject.Name,
		Status: arlog.StatusSkip}.Format()))
	const zoneField = 4
	if written := line[zoneField]; written != zone {
		s.warn("nothing needs to be done; with a zone whose abbreviation is of letters the lines would be "+
			"in local time", "the time zone is called %s, which OSSEC's decoder cannot read: "+
			"log lines are in %s", quote(zone), written)
	}
	s.ok("%s, zone %s", stamp(now), zone)
}
