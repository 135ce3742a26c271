package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table is one of those that are printed.
type table struct {
	head []string
	rows [][]string
}

func (t table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%s\t\n", strings.Join(t.head, "\t"))
	for _, row := range t.rows {
		fmt.Fprintf(w, "%s\t\n", strings.Join(row, "\t"))
	}
	return w.Flush()
}

// cell shows a value; in brackets one that is not judged.
func (j judged) cell(format string) string {
	text := fmt.Sprintf(format, j.Value)
	switch {
	case j.Value == 0:
		return "-"
	case j.Goal == 0:
		return "(" + text + ")"
	case j.Missed:
		return text + " missed"
	}
	return text
}

// goal shows the goal.
func (j judged) goal(format string) string {
	if j.Goal == 0 {
		return "-"
	}
	return fmt.Sprintf(format, j.Goal)
}

func ms(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

func (r results) print(out io.Writer) error {
	for _, line := range r.Machine {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	for _, t := range []table{r.times(), r.waiting(), r.storms(), r.packets(), r.bulk()} {
		if len(t.rows) == 0 {
			continue
		}
		if err := t.print(out); err != nil {
			return err
		}
	}
	all, missed := r.goals()
	_, err := fmt.Fprintf(out, "\n%d values beside a goal, %d missed\n", all, missed)
	return err
}

func (r results) times() table {
	t := table{head: []string{
		"case", "action", "standing", "true", "floor", "ms", "p10", "ours ms", "p10",
		"peer ms", "ratio", "goal",
		fmt.Sprintf("to 0 (%.1f)", mostGrowth), fmt.Sprintf("MiB (%d)", mostMiB),
	}}
	for _, row := range r.Times {
		t.rows = append(t.rows, []string{
			row.Case, row.Action, fmt.Sprint(row.Standing), ms(row.True), row.Floor,
			ms(row.FloorMS), ms(row.FloorP10),
			ms(row.Ours), ms(row.OursP10), ms(row.Peer), row.Ratio.cell("%.2f"), row.Ratio.goal("%.1f"),
			row.Growth.cell("%.2f"), row.MiB.cell("%.1f"),
		})
	}
	return t
}

func (r results) waiting() table {
	t := table{head: []string{"case", "calls", "a second", "peer's", "ratio", "goal"}}
	for _, row := range r.Waiting {
		t.rows = append(t.rows, []string{
			row.Case, fmt.Sprint(row.Calls), fmt.Sprintf("%.0f", row.Ours), fmt.Sprintf("%.0f", row.Peer),
			row.Ratio.cell("%.2f"), row.Ratio.goal("%.1f"),
		})
	}
	return t
}

func (r results) storms() table {
	t := table{head: []string{"case", "at once", "single ms", "all s", "longest s",
		"goal s", fmt.Sprintf("MiB (%d)", mostStormMiB), "failed", "lost"}}
	for _, row := range r.Storms {
		t.rows = append(t.rows, []string{
			row.Case, fmt.Sprint(row.AtOnce), ms(row.Single), row.All.cell("%.2f"),
			row.Longest.cell("%.2f"), row.All.goal("%.2f"),
			row.MiB.cell("%.0f"), none(row.Failed), none(row.Lost),
		})
	}
	return t
}

// none shows a number that should be 0.
func none(n int) string {
	if n > 0 {
		return fmt.Sprintf("%d missed", n)
	}
	return "0"
}

func (r results) packets() table {
	t := table{head: []string{"case", "blocks", "passed kpps", "to 0", "dropped kpps", "to 0", "goal"}}
	for _, row := range r.Packets {
		blocks := fmt.Sprint(row.Blocks)
		if row.Blocks == noFilter {
			blocks = "no filter"
		}
		dropped := "-"
		if row.Dropped > 0 {
			dropped = fmt.Sprintf("%.0f", row.Dropped)
		}
		t.rows = append(t.rows, []string{
			row.Case, blocks, fmt.Sprintf("%.0f", row.Passed), row.PassedShare.cell("%.2f"), dropped,
			row.DroppedShare.cell("%.2f"),
			row.PassedShare.goal("%.1f"),
		})
	}
	return t
}

func (r results) bulk() table {
	t := table{head: []string{
		"case", "addresses", "import s", fmt.Sprintf("list s (%d)", mostListSeconds),
		fmt.Sprintf("MiB (%d)", mostListMiB),
		fmt.Sprintf("maintain %d: ms (%d)", fewLeases, mostFewMS),
		fmt.Sprintf("all: s (%d)", mostIdleSeconds),
		fmt.Sprintf("flushed: s (%d)", mostFlushedSeconds), "unimport s", fmt.Sprintf("MiB (%d)", mostMiB),
	}}
	for _, row := range r.Bulk {
		t.rows = append(t.rows, []string{
			row.Case, fmt.Sprint(row.Addresses), ms(row.Import), row.List.cell("%.2f"),
			row.ListMiB.cell("%.1f"),
			row.FewMS.cell("%.1f"), row.Idle.cell("%.2f"), row.Flushed.cell("%.2f"),
			ms(row.Unimport), row.MiB.cell("%.1f"),
		})
	}
	return t
}
