package report

import (
	"bytes"
	"encoding/csv"
	"strconv"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// table returns the report as one table of CSV, in the form that spreadsheets can pivot:
// the first column says what a row is about.
func table(r *stats.Report) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	row := func(section, key, description string, c stats.Counts, first, last *time.Time) {
		n := func(v uint64) string { return strconv.FormatUint(v, 10) }
		// the error is kept
		_ = w.Write([]string{section, printable.Cell(key), printable.Cell(description),
			n(c.Blocks), n(c.Unblocks), n(c.Skips()), n(c.Failed),
			stampOf(first), stampOf(last), n(c.Locked), n(c.Unlocked)})
	}
	_ = w.Write([]string{"section", "key", "description", "blocks", "unblocks", "skipped",
		"failed", "first", "last", "locked", "unlocked"})
	row("total", r.Period.Label, r.Filter.String(), r.Totals, r.Period.First, r.Period.Last)
	for _, a := range r.TopAddresses {
		row("address", a.Address.String(), "rule "+a.Rule,
			stats.Counts{Blocks: a.Blocks, Unblocks: a.Unblocks}, &a.First, &a.Last)
	}
	for _, n := range r.TopNetworks {
		row("network", n.Network.String(), printable.Count(n.Addresses, "address"),
			stats.Counts{Blocks: n.Blocks}, nil, nil)
	}
	for _, c := range r.Responses {
		row("response", c.Name, "", c.Counts, nil, nil)
	}
	for _, o := range r.Others {
		row("other program", o.Name, printable.Count(o.Runs, "run"), stats.Counts{}, nil, nil)
	}
	for _, c := range r.Rules {
		row("rule", c.ID, c.Description, stats.Counts{Blocks: c.Blocks}, nil, nil)
	}
	for _, a := range r.Agents {
		row("agent", a.Name, printable.Count(a.Addresses, "address"), a.Counts, nil, a.LastBlock)
	}
	for _, s := range r.Timeline {
		row(r.Unit, s.From.Format(time.RFC3339), "",
			stats.Counts{Blocks: s.Blocks, Unblocks: s.Unblocks, Whitelisted: s.Whitelisted,
				Failed: s.Failed}, nil, nil)
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

func stampOf(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
