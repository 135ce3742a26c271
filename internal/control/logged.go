package control

import (
	"fmt"
	"io"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// maxTail is how much of the end of active-responses.log is read, in bytes.
const maxTail = 4 << 20

// eachLogged visits the entries at the end of active-responses.log.
func eachLogged(t *tool, visit func(arlog.Entry)) error {
	file, err := state.Open(t.Home.ResponseLog())
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.SeekTail(maxTail); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxTail+(1<<20))) // it may grow meanwhile
	if err != nil {
		return err
	}
	p := arlog.Parser{Location: t.Now().Location(), AddressFields: t.settings.Wazuh.AddressFields}
	for line := range strings.Lines(string(text)) {
		if e, err := p.Parse(line); err == nil {
			visit(e)
		}
	}
	return nil
}

// logged is an entry of the log for people.
func logged(t *tool, e arlog.Entry) string {
	name := e.Program[strings.LastIndexByte(e.Program, '/')+1:]
	text := fmt.Sprintf("%s  %s %s", t.when(e.Time), arlog.Word(name), e.Status)
	if e.Message != "" {
		text += "  " + printable.Line(e.Message)
	}
	return text
}
