package control

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// logTail is the end of active-responses.log.
type logTail struct{ *tool }

func (t *tool) log() logTail { return logTail{t} }

// maxTail is how much of the log is read, in bytes.
const maxTail = 4 << 20

// entry is a line of the log for people.
func (l logTail) text(e arlog.Entry) string {
	name := e.Program[strings.LastIndexByte(e.Program, '/')+1:]
	text := fmt.Sprintf("%s  %s %s", l.when(e.Time), arlog.Word(name), e.Status)
	if e.Message != "" {
		text += "  " + printable.Line(e.Message)
	}
	return text
}

// tail reads the entries at the end of active-responses.log.
func (l logTail) each(visit func(arlog.Entry)) error {
	file, err := state.Open(l.Home.ResponseLog())
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = file.Seek(max(0, size-maxTail), io.SeekStart)
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxTail+(1<<20))) // it may grow meanwhile
	if err != nil {
		return err
	}
	p := arlog.Parser{Location: l.Now().Location(), AddressFields: l.settings.Wazuh.AddressFields}
	for line := range strings.Lines(string(text)) {
		if e, err := p.Parse(line); err == nil {
			visit(e)
		}
	}
	return nil
}

// lastFailure is the last error in the log.
func (l logTail) lastFailure() string {
	var last arlog.Entry
	if err := l.each(func(e arlog.Entry) {
		if e.Status == arlog.StatusError {
			last = e
		}
	}); err != nil && !errors.Is(err, os.ErrNotExist) {
		return printable.Error(err)
	}
	if last.Status == "" {
		return "none"
	}
	text := l.text(last)
	if last.Addr.IsValid() {
		text += " (" + last.Addr.String() + ")"
	}
	return text
}
