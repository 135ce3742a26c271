package report

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// metrics returns the report in Prometheus' text format, for node_exporter's textfile
// collector. All are gauges: they go back to zero with each new period.
func metrics(r *stats.Report) []byte {
	m := &metricsWriter{}
	m.period(r)
	m.metric("ossec_ar_blocks", "Blocks put in force in the period, by response.")
	for _, c := range r.Responses {
		m.value(c.Blocks, "response", c.Name)
	}
	m.metric("ossec_ar_unblocks", "Blocks lifted in the period, by response.")
	for _, c := range r.Responses {
		m.value(c.Unblocks, "response", c.Name)
	}
	m.metric("ossec_ar_skipped", "Requests left alone on purpose in the period, by response and reason.")
	for _, c := range r.Responses {
		m.value(c.Whitelisted, "response", c.Name, "reason", "whitelisted")
		m.value(c.StillHeld, "response", c.Name, "reason", "still_held")
		m.value(c.Skipped, "response", c.Name, "reason", "other")
	}
	m.metric("ossec_ar_failed", "Requests that failed in the period, by response.")
	for _, c := range r.Responses {
		m.value(c.Failed, "response", c.Name)
	}
	m.metric("ossec_ar_warnings", "Warnings logged in the period, by response.")
	for _, c := range r.Responses {
		m.value(c.Warnings, "response", c.Name)
	}
	m.metric("ossec_ar_accounts_locked", "Accounts locked in the period.")
	m.value(r.Totals.Locked)
	m.metric("ossec_ar_accounts_unlocked", "Accounts unlocked in the period.")
	m.value(r.Totals.Unlocked)
	m.metric("ossec_ar_rule_blocks", "Blocks put in force in the period, by rule (the first ones only).")
	for _, c := range r.Rules {
		m.value(c.Blocks, "rule", c.ID, "description", c.Description)
	}
	if r.Agents != nil {
		m.metric("ossec_ar_agent_blocks", "Blocks put in force in the period, by agent.")
		for _, a := range r.Agents {
			m.value(a.Blocks, "agent", a.Name)
		}
	}
	m.addresses(r)
	return m.Bytes()
}

type metricsWriter struct {
	bytes.Buffer
	name string
}

func (m *metricsWriter) period(r *stats.Report) {
	when := func(name, help string, t *time.Time) {
		if t != nil {
			m.metric(name, help)
			m.value(uint64(max(t.Unix(), 0)))
		}
	}
	when("ossec_ar_report_timestamp_seconds", "When these metrics were made.", &r.Generated)
	when("ossec_ar_period_start_timestamp_seconds", "When the period begins.", r.Period.From)
	when("ossec_ar_period_end_timestamp_seconds", "When the period ends.", r.Period.Until)
	when("ossec_ar_last_event_timestamp_seconds",
		"The last thing that a response did in the period.", r.Period.Last)
}

func (m *metricsWriter) addresses(r *stats.Report) {
	m.metric("ossec_ar_blocked_addresses", "Different addresses blocked in the period.")
	m.value(r.Addrs.Different)
	if r.Addrs.New != nil {
		m.metric("ossec_ar_new_addresses",
			"Addresses blocked in the period that had not been blocked shortly before.")
		m.value(*r.Addrs.New)
	}
	if r.Lasted.Ended > 0 {
		m.metric("ossec_ar_block_median_seconds", "Median length of the blocks that ended in the period.")
		m.value(uint64(r.Lasted.Median))
		m.metric("ossec_ar_block_longest_seconds", "Longest of the blocks that ended in the period.")
		m.value(uint64(r.Lasted.Longest))
	}
	if r.InForce != nil {
		m.metric("ossec_ar_addresses_in_force", "Different addresses that are blocked now.")
		m.value(uint64(r.InForce.Addresses))
		m.metric("ossec_ar_accounts_in_force", "Accounts that are locked now.")
		m.value(uint64(r.InForce.Accounts))
	}
	m.metric("ossec_ar_unreadable_lines", "Lines of the log in the period that could not be read.")
	m.value(r.Log.Unreadable)
}

func (m *metricsWriter) metric(name, help string) {
	m.name = name
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// value writes one sample; labels are names and values in turn.
func (m *metricsWriter) value(v uint64, labels ...string) {
	m.WriteString(m.name)
	for i := 0; i+1 < len(labels); i += 2 {
		m.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(m, `%s="%s"`, labels[i], labelEscape.Replace(printable.Short(labels[i+1], 200)))
	}
	if len(labels) > 0 {
		m.WriteByte('}')
	}
	fmt.Fprintf(m, " %d\n", v)
}

var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
