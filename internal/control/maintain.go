package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ossec-ar/ossec-ar/internal/app/command"
	"github.com/ossec-ar/ossec-ar/internal/hold"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/notify"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// maintainLimit bounds a whole run: cron starts the next one in a minute.
const maintainLimit = 10 * time.Minute

// maintained is what the last run of maintain did, as it is kept for status.
type maintained struct {
	At      time.Time `json:"at"`
	Blocked int       `json:"blocked"` // again
	Freed   int       `json:"freed"`   // that nobody leased, or that are whitelisted
	Ended   int       `json:"ended"`   // leases that were over
	Failed  string    `json:"failed,omitempty"`

	failing []*response // that could not block all
}

// maintain makes the host match what is wanted, ends what is over and delivers what waits. It
// prints nothing but what failed, so that cron mails only that.
func maintain(t *tool, c *cli.Context) error {
	ctx, cancel := context.WithTimeout(c.Context, maintainLimit)
	defer cancel()
	failed, err := maintainBlocks(ctx, t)
	if err != nil {
		return err
	}
	if err := deliver(ctx, t); err != nil {
		t.Complain(err)
		failed = true
	}
	return command.Reported(failed)
}

// maintainBlocks is all of maintain but delivering, which may take as long as servers want it to: the next
// run is not to wait for them. Of two at once the second does nothing. An error is of the state folder;
// other faults are reported.
func maintainBlocks(ctx context.Context, t *tool) (reported bool, err error) {
	dir, err := state.MakeDir(t.Home.State())
	if err != nil {
		return false, err
	}
	defer dir.Close()
	lock, err := dir.Exclusive("maintain.lock", 0)
	if errors.Is(err, state.ErrLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Release()
	done := maintained{At: t.Now().UTC()}
	expired := editor(t).Expire(t.Now())
	_, failed := neverblock.Refresh(ctx, t.Home, t.settings.Whitelist, t.Resolver, t.Now())
	if failed = errors.Join(expired, failed); failed != nil {
		t.Complain(failed)
	}
	opened, reported := t.openAll(false)
	for i, r := range opened {
		if i == 0 {
			t.warn(r, nil)
		}
		if !r.used() {
			continue
		}
		if err := maintainOne(ctx, t, r, &done); err != nil {
			r.log.Warn(arproto.Request{}, r.about(err))
			failed = errors.Join(failed, r.about(err))
		}
	}
	record.ForgetWarnings(t.Home.State(), t.Now())
	if err := announceFailed(t, done.failing); err != nil {
		t.Complain(err)
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		done.Failed = failed.Error()
	}
	if err := done.write(t.Home); err != nil {
		t.Complain(err)
		reported = true
	}
	return failed != nil || reported, nil
}

// deliverLimit is how long maintain begins messages: a timer of systemd starts no run while one goes on.
const deliverLimit = 30 * time.Second

// deliver delivers what waits on all channels, of which none waits for another.
func deliver(ctx context.Context, t *tool) error {
	ctx, cancel := context.WithTimeout(ctx, deliverLimit)
	defer cancel()
	faults := make([]error, len(notice.Channels))
	var done sync.WaitGroup
	for i, channel := range notice.Channels {
		done.Go(func() { faults[i] = notify.Deliver(ctx, &t.Program, channel) })
	}
	done.Wait()
	return errors.Join(faults...)
}

// preparer is an enforcer for whose blocks others may have saved rules that name sets or chains,
// which Prepare makes, empty.
type preparer interface {
	Prepare(ctx context.Context) error
}

// prepare is for the boot, before saved firewall rules are loaded.
func prepare(t *tool, c *cli.Context) error {
	opened, failed := t.openAll(true)
	for _, r := range opened {
		p, is := r.Enforcer.(preparer)
		if !is || !r.used() {
			continue
		}
		if err := p.Prepare(c.Context); err != nil {
			t.Complain(r.about(err))
			failed = true
		}
	}
	return command.Reported(failed)
}

// maintainOne ends what is over first, so that it is not blocked again.
func maintainOne(ctx context.Context, t *tool, r *response, done *maintained) error {
	if err := r.Leases.Salvage(); err != nil {
		return err
	}
	over, _, err := r.Ended()
	r.log.Warn(arproto.Request{}, err)
	var failed error
	for _, o := range over {
		ended, err := r.end(ctx, o)
		failed = errors.Join(failed, err)
		if ended {
			done.Ended++
		}
	}
	never := never(t, func(fault error) { r.log.Warn(arproto.Request{}, fault) })
	repaired, err := r.Repair(ctx, never)
	if errors.Is(err, hold.ErrBusy) {
		err = nil
	}
	if err != nil || len(repaired.Found.Missing) > 0 {
		done.failing = append(done.failing, r)
	}
	r.logRepaired(repaired)
	done.Blocked += len(repaired.Blocked)
	done.Freed += len(repaired.Lifted) + len(repaired.Never) + len(repaired.Narrowed)
	r.leaseFaults(arproto.Request{}, nil)
	return errors.Join(failed, err)
}

// end ends a lease that is over, and reports whether it did: others may have renewed it meanwhile.
func (r *response) end(ctx context.Context, o hold.Over) (bool, error) {
	released, err := r.ReleaseSeen(ctx, o.Lease)
	switch {
	case errors.Is(err, hold.ErrRenewed):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ending the lease of %s on %s: %w", o.Program, o.Target, err)
	case released.Held():
		return true, nil
	}
	log := r.log
	if o.Daemon != nil { // log rules and reports know the block by the name that the daemon called
		program := *log.Program
		program.Invoked = filepath.Join(filepath.Dir(program.Invoked), o.Program)
		log.Program = &program
	}
	log.Write(record.Entry{
		Status: arlog.StatusDelete, Message: record.Unblocked(o.Target, "") + " (" + o.Why + ")",
		About: arproto.Request{Action: arproto.Delete, Addr: o.Target.Addr(), User: o.Target.Account(),
			AlertID: o.AlertID, RuleID: o.RuleID},
	})
	return true, nil
}

func (done maintained) write(home ossec.Home) error {
	text, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return state.Save(home.State(), filepath.Base(home.LastMaintain()), append(text, '\n'))
}

// readMaintained returns what the last run did; the zero value when there was none.
func readMaintained(home ossec.Home) (done maintained) {
	const most = 64 << 10
	dir, err := state.OpenDir(home.State())
	if err != nil {
		return done
	}
	defer dir.Close()
	if text, err := dir.Read(filepath.Base(home.LastMaintain()), most); err == nil {
		_ = json.Unmarshal(text, &done) // what cannot be read was never run
	}
	return done
}
