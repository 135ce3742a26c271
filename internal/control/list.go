package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// list shows who is blocked.
func list(t *tool, c *cli.Context) error {
	debug.SetMemoryLimit(listMemory)
	f := filter{program: c.String("program")}
	if text := c.Args().First(); text != "" {
		request, err := who(t, text)
		if err != nil {
			return command.Mistaken(t.Name+" list shows all", "%v", err)
		}
		f.target = about(request)
	}
	snapshots, never, failed := t.snapshots(c.Context, f)
	all := rows(snapshots, never, f)
	out := bufio.NewWriter(t.Stdout) // it keeps the first error
	var err error
	if c.Bool("json") {
		err = printJSON(out, all)
	} else if !printTable(t, out, all) && !failed {
		fmt.Fprintln(out, f.none())
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return command.Reported(failed)
}

// The JSON of list, as docs/list-json.md describes it.
type (
	jsonRow struct {
		Address  string      `json:"address"`
		Response string      `json:"response"`
		State    condition   `json:"state"`
		Why      string      `json:"why,omitempty"`
		Packets  *uint64     `json:"packets,omitempty"`
		Bytes    *uint64     `json:"bytes,omitempty"`
		Leases   []jsonLease `json:"leases"`
	}
	jsonLease struct {
		Address string    `json:"address,omitempty"` // in the network of the row
		Program string    `json:"program"`
		State   string    `json:"state"`
		Rule    string    `json:"rule,omitempty"`
		Alert   string    `json:"alert,omitempty"`
		Since   time.Time `json:"since,omitzero"`
		Until   time.Time `json:"until,omitzero"`
		Reason  string    `json:"reason,omitempty"`
	}
)

// printJSON writes one row a line, so that no more than one is held in memory.
func printJSON(out *bufio.Writer, all iter.Seq[row]) error {
	fmt.Fprintf(out, `{"version":1,"addresses":[`)
	separator := "\n"
	for r := range all {
		line, err := json.Marshal(r.json())
		if err != nil {
			return err
		}
		out.WriteString(separator)
		out.Write(printable.JSON(line))
		separator = ",\n"
	}
	_, err := out.WriteString("\n]}\n")
	return err
}

func (r *row) json() jsonRow {
	j := jsonRow{Address: r.Target.String(), Response: r.Response, State: r.State,
		Why: r.Why, Leases: []jsonLease{}}
	if r.Counted {
		j.Packets, j.Bytes = &r.Packets, &r.Bytes
	}
	for _, h := range r.Holds {
		address := ""
		if h.net > 0 {
			address = h.target.String()
		}
		j.Leases = append(j.Leases, jsonLease{
			Address: address, Program: h.program, State: h.state.String(), Rule: h.rule, Alert: h.alert,
			Since: moment(h.since).UTC(), Until: moment(h.until).UTC(), Reason: h.reason,
		})
	}
	return j
}
