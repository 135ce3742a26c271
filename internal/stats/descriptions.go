package stats

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// learnFrom bounds how much of the end of the alert log is searched for descriptions, in
// bytes.
const learnFrom = 2 << 20

// learn looks for the descriptions of the rules that blocked something in the alert log.
// A missing log has none.
func (n *names) learn(path string, blocks []uint64) error {
	missing := map[string]uint16{}
	for id, count := range blocks {
		if id != 0 && count > 0 && n.about[id] == "" {
			missing[n.texts[id]] = uint16(id)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	file, info, err := state.OpenFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() // only read from
	tail := io.NewSectionReader(file, max(info.Size()-learnFrom, 0), learnFrom)
	scanner := alerts.NewScanner(io.MultiReader(strings.NewReader("\n"), tail)) // it begins within a line
	for len(missing) > 0 && scanner.Scan() {
		alert := scanner.Alert()
		if id, ok := missing[alert.RuleID]; ok {
			n.describe(id, alert.Description)
			delete(missing, alert.RuleID)
		}
	}
	return scanner.Err()
}
