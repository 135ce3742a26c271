package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

//go:embed templates/report.html.tmpl
var pageText string

// page returns the report as a whole web page in one file. Nothing is fetched and no script
// runs; its own policy has the browser enforce that, whatever came from a log.
func page(r *stats.Report) ([]byte, error) {
	data := newPageData(r)
	data.Charts = append(data.Charts, timelineChart(r))
	if r.Unit != stats.UnitHour {
		data.Charts = append(data.Charts, hoursChart(r))
	}
	return fill(pageText, data)
}

// fill returns a template with the data. It is parsed only here: that takes as long as the
// report of a day.
func fill(text string, data pageData) ([]byte, error) {
	t, err := template.New("report").Funcs(template.FuncMap{
		"share":  func(part, whole uint64) string { return percent(float64(part), float64(whole)) },
		"width":  func(part, whole uint64) uint64 { return max(part*100/max(whole, 1), 1) },
		"number": groupDigits,
		"words": func(n uint64, what string) string { // without the number
			_, words, _ := strings.Cut(printable.Count(n, what), " ")
			return words
		},
		"length": length,
		"minute": func(t time.Time) string { return t.Format("2006-01-02 15:04") },
		"text":   func(s string) string { return printable.Short(s, 300) },
		"whole":  func(s string) string { return strings.ReplaceAll(s, "-", "\u2011") }, // dates do not break
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.Bytes(), err
}

type pageData struct {
	*stats.Report
	Stamp  string
	Skips  uint64
	ByHand string
	Charts []chart
	Lists  []barList
}

func newPageData(r *stats.Report) pageData {
	return pageData{Report: r, Stamp: r.Generated.Format(headStamp), Skips: r.Totals.Skips(),
		ByHand: byHand(r), Lists: lists(r)}
}

// chartHeight is the height of a chart's bars, in pixels. Widths are in percent of the
// chart, so that its letters keep their size on a narrow screen.
const chartHeight = 160

// chart is columns over time.
type chart struct {
	Title   string
	About   string // for who cannot see it
	Most    uint64
	Columns []column
	Labels  []label
}

type column struct {
	X, Width  string // percent
	Y, Height int    // pixels
	Title     string
}

type label struct {
	X, Text, Anchor string
}

func timelineChart(r *stats.Report) chart {
	c := chart{Title: "Blocks per " + r.Unit}
	layouts := map[string][2]string{
		stats.UnitHour: {"15:04", "Mon Jan _2 15:04 MST"}, stats.UnitDay: {"Jan _2", "Mon 2006-01-02"},
		stats.UnitMonth: {"Jan 2006", "January 2006"},
	}[r.Unit]
	var values []uint64
	for _, s := range r.Timeline {
		values = append(values, s.Blocks)
	}
	c.fill(values, func(i int) (short, long string) {
		return r.Timeline[i].From.Format(layouts[0]), r.Timeline[i].From.Format(layouts[1])
	})
	return c
}

func hoursChart(r *stats.Report) chart {
	c := chart{Title: "Blocks by hour of the day"}
	c.fill(r.HoursOfDay[:], func(i int) (short, long string) {
		return fmt.Sprintf("%02d:00", i), fmt.Sprintf("%02d:00 to %02d:00", i, (i+1)%24)
	})
	return c
}

// maxLabels is how many labels fit under a chart on a telephone.
const maxLabels = 5

func (c *chart) fill(values []uint64, name func(i int) (short, long string)) {
	var at int
	for i, v := range values {
		if v > c.Most {
			c.Most, at = v, i
		}
	}
	if c.Most > 0 {
		_, when := name(at)
		c.About = fmt.Sprintf("%s: %d columns, the highest is %d at %s", c.Title, len(values), c.Most, when)
	}
	every := max((len(values)+maxLabels-1)/maxLabels, 1)
	n := float64(len(values))
	for i, v := range values {
		short, long := name(i)
		if i%every == 0 {
			l := label{percent(float64(i)+0.5, n), short, "middle"}
			if i == 0 {
				l.X, l.Anchor = "0%", "start"
			}
			c.Labels = append(c.Labels, l)
		}
		if v == 0 {
			continue
		}
		height := max(int(v*chartHeight/c.Most), 2) // whatever is not zero shows
		gap := 0.1
		if n > 100 {
			gap = 0
		}
		c.Columns = append(c.Columns, column{
			X: percent(float64(i)+gap, n), Width: percent(1-2*gap, n),
			Y: chartHeight - height, Height: height,
			Title: fmt.Sprintf("%s: %s", long, printable.Count(v, "block")),
		})
	}
}

// barList is a table with a bar in each row.
type barList struct {
	Title string
	Heads []string // of the columns before the number
	Spare int      // from which of them on they are left out on a narrow screen
	Rows  []barRow
	Most  uint64
}

type barRow struct {
	Cells  []string
	Blocks uint64
}

func (l *barList) add(blocks uint64, cells ...string) {
	for i := range cells {
		cells[i] = printable.Short(cells[i], 300)
	}
	l.Rows = append(l.Rows, barRow{cells, blocks})
	l.Most = max(l.Most, blocks)
}

func lists(r *stats.Report) []barList {
	addresses := barList{Title: "Most blocked addresses",
		Heads: []string{"Address", "Last rule", "Last block"}, Spare: 1}
	for _, a := range r.TopAddresses {
		addresses.add(a.Blocks, a.Address.String(), a.Rule, a.Last.Format("Jan _2 15:04"))
	}
	networks := barList{Title: "Most blocked networks", Heads: []string{"Network", "Addresses"}, Spare: 2}
	for _, n := range r.TopNetworks {
		networks.add(n.Blocks, n.Network.String(), groupDigits(n.Addresses))
	}
	rules := barList{Title: "Rules", Heads: []string{"Rule", "Description"}, Spare: 2}
	for _, c := range r.Rules {
		rules.add(c.Blocks, c.ID, c.Description)
	}
	responses := barList{Title: "Responses",
		Heads: []string{"Response", "Unblocked", "Skipped", "Failed"}, Spare: 1}
	for _, c := range r.Responses {
		responses.add(c.Blocks, c.Name, groupDigits(c.Unblocks),
			groupDigits(c.Skips()), groupDigits(c.Failed))
	}
	agents := barList{Title: "Agents", Heads: []string{"Agent", "Addresses", "Most of all"}, Spare: 1}
	for _, a := range r.Agents {
		best := ""
		if len(a.TopAddresses) > 0 {
			best = a.TopAddresses[0].Address.String()
		}
		agents.add(a.Blocks, a.Name, groupDigits(a.Addresses), best)
	}
	var all []barList
	for _, l := range []barList{agents, addresses, networks, rules, responses} {
		if len(l.Rows) > 0 {
			all = append(all, l)
		}
	}
	return all
}

func percent(part, whole float64) string {
	if whole == 0 {
		return "0%"
	}
	return strconv.FormatFloat(part*100/whole, 'f', 3, 64) + "%"
}

// groupDigits writes 1234567 as "1,234,567".
func groupDigits(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
