package stats

import (
	"errors"
	"fmt"
	"os"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

// Findings reports whether the logs that reports count can be read. `ossec-ar check` shows
// them beside what it finds of the job that makes the report of the day.
func Findings(home ossec.Home) []enforcer.Finding {
	const what = "statistics"
	files, notes, err := responseLogs(home.ResponseLog()).list()
	var found []enforcer.Finding
	add := func(verdict enforcer.Verdict, format string, args ...any) {
		found = append(found, enforcer.Finding{What: what, Verdict: verdict, Found: fmt.Sprintf(format, args...)})
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		add(enforcer.Fault, "%v", err)
	}
	for i := range files {
		file, _, err := files[i].open()
		if err != nil {
			add(enforcer.Fault, "what is in %s is in no report: %v", files[i].path, err)
			continue
		}
		_ = file.Close() // only opened
	}
	for _, note := range notes {
		add(enforcer.Warn, "%s", note)
	}
	switch {
	case len(found) > 0:
	case len(files) == 0:
		add(enforcer.Skip, "%s does not exist: no response has written to it yet", home.ResponseLog())
	default:
		add(enforcer.OK, "%d response logs can be read", len(files))
	}
	return found
}
