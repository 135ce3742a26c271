package outbox

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"
)

// Run works through the queue as long as something falls due within linger, gives up the
// lock, and looks once more, for whoever added an item or asked for another attempt
// meanwhile saw the lock and started nothing.
func (d *Deliverer) Run(ctx context.Context, lock *os.File, linger time.Duration) error {
	for {
		d.begin()
		err := d.run(ctx, linger)
		_ = lock.Close() // it is only a lock
		if err != nil || !d.fresh() && !d.box.retryAsked() {
			return err
		}
		if lock, err = d.box.tryLock(); errors.Is(err, ErrBusy) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (d *Deliverer) run(ctx context.Context, linger time.Duration) error {
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

// wakePause is how often a waiting deliverer looks for new items.
const wakePause = 200 * time.Millisecond

// wait waits until then, or until something new is in the queue.
func (d *Deliverer) wait(ctx context.Context, until time.Time) {
	for {
		rest := until.Sub(d.now())
		if rest <= 0 || d.fresh() || d.box.retryAsked() {
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

// fresh reports whether there are new items that the last step did not see. Their names are
// not compared by age: the first to begin may be the last to end.
func (d *Deliverer) fresh() bool {
	names, err := d.box.names(dirWaiting)
	return err == nil && slices.ContainsFunc(names, func(name string) bool { return !d.seen[name] })
}

// A person who wants the next attempt at once leaves a file, for the deliverer may be at
// work and then the progress is its own.
const retryFile = "retry-now"

// AskRetry asks the deliverer for another attempt at once.
func (b *Box) AskRetry() error {
	return b.fill(retryFile, os.O_CREATE, nil)
}

func (b *Box) retryAsked() bool {
	_, err := b.root.Lstat(retryFile)
	return err == nil
}

// takeRetry returns nil when a person asked for an attempt at once.
func (b *Box) takeRetry() error { return b.root.Remove(retryFile) }
