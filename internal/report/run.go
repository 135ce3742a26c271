package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/internal/stats"
)

// run makes the report and puts it where it is wanted. What can be counted is counted
// and put there even when something fails, but not where nothing may be read.
func (c *program) run() error {
	report, failure := c.report()
	if errors.Is(failure, os.ErrPermission) && len(report.Log.Files) == 0 {
		return failure // nothing was counted: no zeros
	}
	if c.named && failure == nil && len(report.Log.Files) == 0 {
		return fmt.Errorf("--log: %s does not exist", printable.Line(c.query.Log))
	}
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

// configure takes over what the installation's configuration says of requests, and whether a service
// wants reports. What is sound in it counts.
func (c *program) configure() error {
	settings, err := config.Load(c.Home)
	c.query.AddressFields = settings.Wazuh.AddressFields
	c.leave = c.leave && settings.WantsChat(config.OnReport)
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
		if err := c.WriteLog(c.Home.StatsLog(), text(r)); err != nil {
			return fmt.Errorf("appending the report: %w", err)
		}
	}
	if c.chat {
		if err := c.sendChat(r, c.send.Chat); err != nil {
			return err
		}
	}
	if c.leave { // a timer's unit has no right to send, and ends what it started
		if err := c.sendChat(r, c.send.Leave); err != nil {
			return err
		}
	}
	quiet := c.mail || c.chat || c.append && !c.StdoutTerminal
	if c.output == "" && quiet {
		return nil
	}
	data, err := encode(r, c.format)
	if err != nil {
		return fmt.Errorf("writing the report as %s: %w", c.format, err)
	}
	if c.format == "metrics" {
		data = append(data, upkeep(c.Home, c.Now())...)
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
		data, err := json.MarshalIndent(r, "", "  ") // docs/response-stats-json.md describes it
		return append(printable.JSON(data), '\n'), err
	case "csv":
		return table(r)
	case "html":
		return page(r)
	case "metrics":
		return metrics(r), nil
	}
	return text(r), nil
}

// writeFile puts data at path all at once, so that no reader sees a part.
func writeFile(path string, data []byte) error {
	mode := os.FileMode(0o644)
	switch info, err := os.Lstat(path); {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is a link or no plain file: it is not written to", path)
	case err == nil:
		mode = info.Mode().Perm()
	}
	return state.Replace(path, data, mode, state.ReplaceOptions{})
}
