package control

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// response is one response as a command works on it.
type response struct {
	*hold.Holder
	log record.Log
}

// open returns one response. With look, nothing is made or changed by opening it.
func (t *tool) open(kind enforcer.Kind, look bool) (*response, error) {
	holder, err := hold.Open(kind, hold.Options{
		Home: t.Home, Settings: t.settings, Now: t.Now, Proc: t.Proc, ReadOnly: look || t.dryRun,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind.Name, err)
	}
	p := t.Program
	p.Invoked = t.Home.Programs() + "/" + kind.Name // log rules know the response by this path
	return &response{holder, record.Log{Program: &p, JSON: t.settings.Log.JSON, Off: t.dryRun}}, nil
}

// openAll returns the chosen responses. One that cannot be opened is reported, and failed is set.
func (t *tool) openAll(look bool) (all []*response, failed bool) {
	for _, kind := range t.chosen {
		r, err := t.open(kind, look)
		if err != nil {
			t.Complain(err)
			failed = true
			continue
		}
		all = append(all, r)
	}
	return all, failed
}

// used reports whether the response ever leased an address. What was never used is not set up, so
// that a host without iptables can use the others.
func (r *response) used() bool {
	_, err := os.Lstat(r.Leases.Path())
	return !errors.Is(err, os.ErrNotExist)
}

// count writes how many of what the response blocks.
func (r *response) count(n int) string {
	if r.Kind.Accounts {
		return printable.Count(n, "account")
	}
	return printable.Count(n, "address")
}

// absent reports whether an error says that this host lacks the program that a response needs.
func absent(err error) bool { return errors.Is(err, exec.ErrNotFound) }

// about returns an error about this response.
func (r *response) about(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", r.Kind.Name, err)
}

// failed logs what was asked for and does not hold, and returns the error for the person.
func (r *response) failed(request arproto.Request, err error) error {
	r.log.Write(record.Entry{Status: arlog.StatusError, Message: arlog.Failed(err), About: request})
	return r.about(err)
}

// leaseFaults reports what the leases suffered, now that the block is as it should be.
func (r *response) leaseFaults(request arproto.Request, err error) {
	for _, fault := range append(r.Leases.Faults(), err) {
		r.log.Warn(request, r.about(fault))
	}
}

// warn reports faults in settings and whitelist, in the log once a day.
func (t *tool) warn(r *response, faults []error) {
	for _, fault := range append(faults, t.settingsFault) {
		r.log.Warn(arproto.Request{}, fault)
	}
}

// logUnblocked logs a line for each target.
func (r *response) logUnblocked(targets []target.Target, why string) {
	r.logEach(arlog.StatusDelete, targets,
		func(t target.Target) string { return record.Unblocked(t, "") + " " + why })
}

// logEach logs a line for each target, many with one write.
func (r *response) logEach(status arlog.Status, targets []target.Target,
	message func(target.Target) string) {
	const atOnce = 500 // an entry takes half a KiB of memory
	for part := range slices.Chunk(targets, atOnce) {
		entries := make([]record.Entry, 0, len(part))
		for _, t := range part {
			entries = append(entries,
				record.Entry{Status: status, Message: message(t), About: request(t)})
		}
		r.log.Write(entries...)
	}
}
