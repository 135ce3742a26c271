package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/stats"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// run makes the report and puts it where it is wanted. What can be counted is counted
// and put there even when something fails.
func (c *program) run() error {
	report, failure := c.report()
	if failure != nil {
		c.Complain(failure)
	}
	if err := c.deliver(report); err != nil {
		return err
	}
	if failure != nil {
		return command.ErrReported
	}
	return nil
}

// report runs the query.
func (c *program) report() (*stats.Report, error) {
	q := &c.query
	q.Progress = c.progress()
	faults := c.configure()
	count := q.Responses
	if c.alerts {
		count = q.Alerts
	}
	report, err := count()
	if faults != nil {
		report.Note("addresses in Wazuh's requests may be missing, the configuration is not all sound: %v",
			faults)
	}
	return report, err
}

// configure takes over what the installation's configuration says of requests. What is
// sound in it counts.
func (c *program) configure() error {
	settings, err := config.Load(c.Home.Settings())
	c.query.AddressFields = settings.Wazuh.AddressFields
	return err
}

// deliver writes the report where it is wanted.
func (c *program) deliver(r *stats.Report) error {
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
	data, err := encode(r, c.format)
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

// encode returns the report in a form; "" is text.
func encode(r *stats.Report, form string) ([]byte, error) {
	switch form {
	case "json":
		return indented(r)
	case "csv":
		return table(r)
	case "html":
		return page(r)
	case "metrics":
		return metrics(r), nil
	}
	return text(r), nil
}

// indented returns the report in JSON, as docs/response-stats-json.md describes it.
func indented(r *stats.Report) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	err := enc.Encode(r)
	return b.Bytes(), err
}

// appendReport adds the report to its log with one write, so that two runs at once do
// not mix.
func (c *program) appendReport(r *stats.Report) error {
	path, group := c.Home.StatsLog(), arlog.Group(string(c.Home))
	err := arlog.AppendLines(path, group, text(r))
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o770); err == nil {
			_ = os.Chown(filepath.Dir(path), -1, group) // best effort, as for the log itself
			err = arlog.AppendLines(path, group, text(r))
		}
	}
	return err
}

// writeFile puts data at path all at once, so that no reader sees a part.
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

// progress returns what shows the progress, nil where standard error is no terminal.
func (c *program) progress() func(done, all int64) {
	if !isTerminal(c.Stderr) {
		return nil
	}
	bar := progressBar{out: c.Stderr, now: c.Now, began: c.Now()}
	return bar.show
}
