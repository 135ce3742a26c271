// Package record writes what the suite did: a line in logs/active-responses.log for each
// outcome and, where that is configured, a document in logs/active-responses.json beside it.
// A log that cannot be written is reported on standard error and keeps nothing from its work.
package record

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Log is where one program writes what it did.
type Log struct {
	Program *app.Program
	JSON    bool   // also write logs/active-responses.json
	File    string // the log; "" for logs/active-responses.log
	Off     bool   // a dry run: nothing is written
}

// Entry is one outcome.
type Entry struct {
	Status  arlog.Status
	Message string
	// About is the request; one of a person or of upkeep has an address at the most.
	About arproto.Request
}

// Write adds entries, with one write for each log.
func (l *Log) Write(entries ...Entry) {
	if l.Off || len(entries) == 0 {
		return
	}
	var lines, documents []byte
	host := ""
	if l.JSON {
		host, _ = os.Hostname() // a document without its host is worth more than none
	}
	for _, e := range entries {
		line := arlog.Entry{
			Time: l.Program.Now(), Program: l.Program.Path(), Status: e.Status,
			Addr: e.About.Addr, AlertID: e.About.AlertID, RuleID: e.About.RuleID,
			Message: e.Message, Wazuh: e.About.Dialect.JSON(), JSON: e.About.JSON,
		}
		if e.About.ByHand { // OSSEC's decoder passes over a line without numbers in these places
			line.AlertID, line.RuleID = strconv.FormatInt(line.Time.Unix(), 10)+".0", "0"
		}
		lines = append(lines, line.Format()...)
		if !l.JSON {
			continue
		}
		document, err := Line(line, e.About, host)
		if err != nil {
			l.Program.Complain(fmt.Errorf("writing the JSON log: %w", err))
			continue
		}
		documents = append(documents, document...)
	}
	l.Program.AppendLog(cmp.Or(l.File, l.Program.Home.ResponseLog()), lines)
	if len(documents) > 0 {
		l.Program.AppendLog(l.Program.Home.JSONLog(), documents)
	}
}

// warnEvery is how often one and the same warning is logged.
const warnEvery = 24 * time.Hour

// Warn reports something beside the request that is wrong though what was asked for holds: on
// standard error each time, in the log once a day. It is remembered by a file in the state
// folder; where that cannot be made, the warning is logged again.
func (l *Log) Warn(about arproto.Request, err error) {
	if err == nil {
		return
	}
	l.Program.Complain(err)
	if !l.Off && l.due(err.Error()) {
		l.Write(Entry{Status: arlog.StatusWarn, Message: arlog.Warning(err), About: about})
	}
}

// due reports whether a warning was not logged within the last day, and notes that it is now.
func (l *Log) due(text string) bool {
	root, err := warned(l.Program.Home.State())
	if err != nil {
		return true
	}
	defer root.Close() // only looked into
	h := fnv.New64a()
	h.Write([]byte(text)) // a hash never fails to write
	name := strconv.FormatUint(h.Sum64(), 16)
	now := l.Program.Now()
	if info, err := root.Lstat(name); err == nil {
		if age := now.Sub(info.ModTime()); age >= 0 && age < warnEvery {
			return false
		}
		return root.Chtimes(name, now, now) == nil
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return !os.IsExist(err) // another process was first
	}
	_ = f.Close() // it is empty
	_ = root.Chtimes(name, now, now)
	return true
}

// warned opens the folder of the notes, which is made when it is missing.
func warned(stateDir string) (*os.Root, error) {
	dir, err := state.MakeDir(stateDir)
	if err != nil {
		return nil, err
	}
	dir.Close()
	above, err := state.OpenRoot(stateDir)
	if err != nil {
		return nil, err
	}
	defer above.Close()              // only looked into
	_ = above.Mkdir("warned", 0o700) // what is wrong shows next
	return state.OpenRootIn(above, "warned")
}

// ForgetWarnings removes the notes of warnings that are older than a day.
func ForgetWarnings(stateDir string, now time.Time) {
	root, err := warned(stateDir)
	if err != nil {
		return
	}
	defer root.Close()                       // only looked into
	entries, _ := fs.ReadDir(root.FS(), ".") // none: nothing to forget
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > warnEvery {
			_ = root.Remove(e.Name()) // the next one tries again
		}
	}
}
