package record

import (
	"io"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// MaxTail is how much of the end of active-responses.log is read, in bytes.
const MaxTail = 4 << 20

// Tail visits the entries at the end of active-responses.log, in order. addressFields are those of the
// settings. The daemons' account can write that file, so an entry may be made up.
func Tail(p *app.Program, addressFields []string, visit func(arlog.Entry)) error {
	file, err := state.Open(p.Home.ResponseLog())
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.SeekTail(MaxTail); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(file, MaxTail+(1<<20))) // it may grow meanwhile
	if err != nil {
		return err
	}
	parser := arlog.Parser{Location: p.Now().Location(), AddressFields: addressFields}
	for line := range strings.Lines(string(text)) {
		if e, err := parser.Parse(line); err == nil {
			visit(e)
		}
	}
	return nil
}
