package control

import (
	"fmt"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// eachLogged visits the entries at the end of active-responses.log.
func eachLogged(t *tool, visit func(arlog.Entry)) error {
	return record.Tail(&t.Program, t.settings.Wazuh.AddressFields, visit)
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
