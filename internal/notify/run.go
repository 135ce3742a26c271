package notify

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// wakePause is how often a waiting deliverer looks for new events.
const wakePause = 200 * time.Millisecond

// run works through the queue until nothing is left, or nothing falls due within linger.
func (d *deliverer) run(ctx context.Context, linger time.Duration) error {
	for {
		next, err := d.step(ctx)
		if err != nil || next.IsZero() || next.Sub(d.now()) > linger {
			return err
		}
		d.wait(ctx, next)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// wait waits until then, or until something new is in the queue.
func (d *deliverer) wait(ctx context.Context, until time.Time) {
	for {
		rest := until.Sub(d.now())
		if rest <= 0 || d.fresh() || d.queue.retryAsked() {
			return
		}
		timer := time.NewTimer(min(rest, wakePause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// fresh reports whether there are events that the last step did not see. Their names are
// not compared by age: who began first may be done last.
func (d *deliverer) fresh() bool {
	names, err := d.queue.names(dirNew)
	return err == nil && slices.ContainsFunc(names, func(name string) bool { return !d.seen[name] })
}

// A person who wants the next attempt at once leaves a file, for the deliverer may be at
// work and then the progress is its own.
const retryFile = "retry-now"

func (q *queue) askRetry() error {
	file, err := q.root.OpenFile(retryFile, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

func (q *queue) retryAsked() bool {
	_, err := q.root.Lstat(retryFile)
	return err == nil
}

// takeRetry returns nil when a person asked for an attempt at once.
func (q *queue) takeRetry() error { return q.root.Remove(retryFile) }

// work is what a deliverer does while it has the lock: it works through the queue, gives up
// the lock, and looks once more, for whoever added an event or asked for another attempt
// meanwhile saw the lock and started nothing.
func (d *deliverer) work(ctx context.Context, lock *os.File, linger func() time.Duration) error {
	for {
		d.begin()
		err := d.run(ctx, linger())
		_ = lock.Close() // it is only a lock
		if err != nil || !d.fresh() && !d.queue.retryAsked() {
			return err
		}
		if lock, err = d.queue.tryLock(); err != nil {
			if errors.Is(err, ErrBusy) {
				err = nil
			}
			return err
		}
	}
}
