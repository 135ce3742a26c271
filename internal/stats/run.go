package stats

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// run makes the report and puts it where it is wanted. What can be counted is counted
// and put there even when something fails.
func (c *program) run() error {
	report, failures := c.report()
	if len(failures) > 0 {
		c.Complain(errors.Join(failures...))
	}
	if err := c.deliver(report); err != nil {
		return err
	}
	if len(failures) > 0 {
		return command.ErrReported
	}
	return nil
}

// report asks the query.
func (c *program) report() (*Report, []error) {
	q := &c.query
	q.Progress = c.progress()
	faults := c.configure()
	s := setting{now: c.Now(), host: c.host, source: sourceResponses, period: q.Period, filter: q.Filter, top: c.top}
	var found *collected
	if c.alerts {
		s.source = sourceAlerts
		found = q.collectAlerts(c.Home)
	} else {
		found = q.collect()
	}
	failures := found.failures
	if faults != nil {
		found.notes = append(found.notes, fmt.Sprintf("addresses in Wazuh's requests may be missing, the configuration is not all sound: %v", faults))
	}
	if !c.alerts {
		if err := found.tally.rules.learn(c.Home.AlertLog(), found.tally.byRule); err != nil {
			found.notes = append(found.notes, fmt.Sprintf("rules have no descriptions: %v", err))
		}
	}
	report := found.report(s)
	if !c.alerts && q.Period.Contains(s.now) {
		inForce, err := readInForce(c.Home.State(), &q.Filter)
		report.InForce = inForce
		if err != nil {
			report.Log.Notes = append(report.Log.Notes, fmt.Sprintf("what is in force now is not all known: %v", err))
			if errors.Is(err, os.ErrPermission) && len(inForce.Leases) == 0 {
				report.InForce = nil
			}
		}
	}
	return report, failures
}

// configure takes over what the installation's configuration says of requests. What is
// sound in it counts.
func (c *program) configure() error {
	settings, err := config.Load(c.Home.Settings())
	c.query.AddressFields = settings.Wazuh.AddressFields
	return err
}

// The sources of a report.
const (
	sourceResponses = "responses"
	sourceAlerts    = "alerts"
)

// deliver writes the report where it is wanted.
func (c *program) deliver(r *Report) error {
	if c.mail {
		if err := c.sendMail(r); err != nil {
			return err
		}
	}
	if c.append {
		if err := c.appendReport(r); err != nil {
			return fmt.Errorf("appending the report: %w", err)
		}
	}
	quiet := c.mail || c.append && !c.StdoutTerminal
	if c.output == "" && quiet {
		return nil
	}
	data, err := r.encode(c.format)
	if err != nil {
		return fmt.Errorf("writing the report as %s: %w", c.format, err)
	}
	if c.output != "" {
		if err := writeFile(c.output, data); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		return nil
	}
	if _, err := c.Stdout.Write(data); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

// encode writes the report in a form; "" is text.
func (r *Report) encode(form string) ([]byte, error) {
	switch form {
	case "json":
		return r.JSON()
	case "csv":
		return r.CSV()
	case "html":
		return r.HTML()
	case "metrics":
		return r.Metrics(), nil
	}
	return r.Text(), nil
}

// appendReport adds the report to its log with one write, so that two runs at once do
// not mix.
func (c *program) appendReport(r *Report) error {
	path, group := c.Home.StatsLog(), arlog.Group(string(c.Home))
	err := arlog.AppendLines(path, group, r.Text())
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o770); err == nil {
			_ = os.Chown(filepath.Dir(path), -1, group) // best effort, as for the log itself
			err = arlog.AppendLines(path, group, r.Text())
		}
	}
	return err
}

// writeFile puts data at path all at once, so that whoever reads it never sees a part.
// What is no plain file, such as /dev/stdout, is written to as it is.
func writeFile(path string, data []byte) (err error) {
	mode := os.FileMode(0o644)
	if info, statErr := os.Stat(path); statErr == nil {
		if !info.Mode().IsRegular() {
			return os.WriteFile(path, data, mode)
		}
		mode = info.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // best effort: the error is what matters
		}
	}()
	_, err = file.Write(data)
	err = errors.Join(err, file.Chmod(mode), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// progress returns how to show progress, nil where nobody sees it.
func (c *program) progress() func(done, all int64) {
	if !isTerminal(c.Stderr) {
		return nil
	}
	bar := progressBar{out: c.Stderr, now: c.Now, began: c.Now()}
	return bar.show
}
