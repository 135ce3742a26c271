package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFailuresAndRecovery(t *testing.T) {
	o := newOffice(t)
	o.to = []string{"ops", "second"}
	o.down = errDown
	o.add("a")
	pause := o.step()
	for _, want := range []time.Duration{15, 30, 60, 120, 240} {
		if pause != want*time.Second || o.count(Waiting) != 1 {
			t.Errorf("pause %s, want %d s; %d wait", pause, want, o.count(Waiting))
		}
		o.pass(pause)
		pause = o.stepNow()
	}
	if o.logged("failed: sending mail: connection refused (1 waiting, next attempt in 15s)") != 1 ||
		!errors.Is(o.d.Failure(), errDown) {
		t.Errorf("log %q", o.log)
	}
	o.down = nil
	o.pass(pause)
	o.stepNow()
	o.want("ops+second: a x1")
	if o.d.Failure() != nil {
		t.Error(o.d.Failure())
	}

	o.say["ops"] = errNoUser
	o.add("b")
	o.step()
	o.want("second: b x1")
	if o.count(Waiting) != 0 || o.count(Refused) != 1 {
		t.Errorf("%d wait, %d refused", o.count(Waiting), o.count(Refused))
	}
	o.say["ops"] = errGreylisted
	o.add("c")
	pause = o.step()
	o.want("second: c x1")
	o.say["ops"] = nil
	o.pass(pause)
	o.stepNow()
	o.want("ops: c x1")

	o.putAllBack()
	o.step()
	o.want("ops: b x1")
	if len(o.items()) != 0 {
		t.Errorf("%+v are left", o.items())
	}
}

// Without recipients, an item is dropped; while nothing is set up, it waits.
func TestNobody(t *testing.T) {
	o := newOffice(t)
	o.to = nil
	o.limits.Unset = errors.New("not set up")
	o.add("a")
	if pause := o.step(); pause != 0 || o.count(Arrived) != 1 {
		t.Errorf("pause %s, %+v", pause, o.items())
	}
	o.limits.Unset = nil
	o.step()
	if o.logged("skipped") != 1 || len(o.items()) != 0 {
		t.Errorf("log %q, %+v", o.log, o.items())
	}
	o.to = []string{"ops"}
	o.limits.Unset = errors.New("not set up")
	o.add("b")
	o.step()
	o.want()
	_, progress, err := o.box.List(o.clock())
	if o.logged("failed") != 0 || o.count(Waiting) != 1 || progress.Error != "not set up" || o.d.Failure() == nil {
		t.Errorf("log %q, %+v, %v", o.log, progress, err)
	}
}

// A day without a server loses nothing, and does not end in a day of messages.
func TestDayOfOutage(t *testing.T) {
	o := newOffice(t)
	o.down = errDown
	var keys []string
	for range 96 {
		keys = append(keys, fmt.Sprint("key", len(keys)))
		o.add(keys[len(keys)-1])
		o.step()
		o.pass(15 * time.Minute)
	}
	if n := o.count(Waiting); n != len(keys) {
		t.Fatalf("%d of %d wait", n, len(keys))
	}
	if n := o.logged("failed: "); n > 60 {
		t.Errorf("%d attempts in a day", n)
	}
	o.down = nil
	o.restart()
	o.pass(time.Hour)
	o.step()
	if len(o.got) != 1 {
		t.Errorf("%d messages", len(o.got))
	}
	o.once("ops", keys...)
}

func TestStorm(t *testing.T) {
	t.Parallel()
	for name, every := range map[string]time.Duration{"in seconds": 20 * time.Millisecond, "in an hour": 3600 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			var keys []string
			var times []time.Time
			collect := func() {
				for len(times) < len(o.got) {
					times = append(times, o.clock())
				}
			}
			for len(keys) < 1000 {
				for range 100 {
					keys = append(keys, fmt.Sprint("key", len(keys)))
					o.add(keys[len(keys)-1])
				}
				o.pass(100*every - settleTime)
				o.step()
				collect()
			}
			for pause := o.step(); pause > 0; pause = o.step() {
				collect()
				o.pass(pause)
			}
			collect()
			o.once("ops", keys...)
			for i := range times {
				if i >= 12 && times[i].Sub(times[i-12]) < time.Hour {
					t.Errorf("13 messages from %s to %s", times[i-12], times[i])
				}
			}
		})
	}
}

// While others are not settled yet, a digest waits for them, but not for ever.
func TestGather(t *testing.T) {
	o := newOffice(t)
	o.limits.PerHour = 2
	for i := range 50 {
		o.add(fmt.Sprint("key", i))
		o.pass(settleTime / 10)
		o.stepNow()
	}
	if got := o.take(); len(got) != 1 || strings.Count(got[0], "key") < 10 {
		t.Errorf("got %q", got)
	}
}

func TestCoalesce(t *testing.T) {
	o := newOffice(t)
	o.limits.Coalesce = time.Minute
	for range 5 {
		o.add("a")
		o.pass(100 * time.Millisecond)
	}
	o.step()
	o.want("ops: a x5")
	o.add("a")
	o.add("b")
	pause := o.step()
	o.want("ops: b x1")
	o.pass(pause)
	o.stepNow()
	o.want("ops: a x1")
}

// What goes alone is in no digest, and what is about the same is not taken for one.
func TestAlone(t *testing.T) {
	o := newOffice(t)
	o.limits = Limits{PerHour: 3, Coalesce: time.Hour}
	for _, alone := range []bool{false, true, false, true, false} {
		o.addItem(Item{Alone: alone}, fmt.Sprint("alone=", alone))
		o.pass(time.Second)
	}
	o.step()
	for pause := 0 * time.Second; len(o.items()) > 0; pause = o.stepNow() {
		o.pass(pause)
	}
	o.want("ops: alone=false x3", "ops: alone=true x1", "ops: alone=true x1")
}

// What is urgent goes first, and in no digest with others.
func TestUrgent(t *testing.T) {
	o := newOffice(t)
	o.limits = Limits{PerHour: 2}
	for _, key := range []string{"a", "b", "urgent c", "d", "urgent e"} {
		o.add(key)
		o.pass(time.Millisecond)
	}
	pause := o.step()
	o.want("ops: urgent c x1, urgent e x1")
	o.pass(pause)
	o.stepNow()
	o.want("ops: a x1, b x1, d x1")
}

// What is remembered of a time that has not come yet holds nothing back: neither the pause
// after a failure, nor that a key was mailed, nor the limit.
func TestClockSetBack(t *testing.T) {
	o := newOffice(t)
	o.limits = Limits{PerHour: 2, Coalesce: 24 * time.Hour}
	o.down = errDown
	o.add("a")
	o.step()
	o.down = nil
	o.pass(-24 * time.Hour)
	o.step()
	o.want("ops: a x1")

	o.pass(-24 * time.Hour)
	o.add("a")
	o.step()
	o.want("ops: a x1")

	o.add("b")
	o.step()
	o.want()
	o.pass(-24 * time.Hour)
	o.step()
	o.want("ops: b x1")

	o.pass(-24 * time.Hour)
	o.add("b")
	o.restart()
	o.step()
	o.want("ops: b x1")
}

// Whatever the server says next, of several items of one key that were put back none takes
// another's place.
func TestPutBackStaysApart(t *testing.T) {
	o := newOffice(t)
	o.limits.PerHour = 1
	o.say["ops"] = errNoUser
	for range 3 {
		o.add("a")
		o.step()
		o.pass(time.Hour)
	}
	for range 10 {
		o.putAllBack()
		o.step()
		o.pass(time.Hour)
	}
	o.say["ops"] = errGreylisted
	o.putAllBack()
	o.step()
	o.say["ops"] = nil
	o.pass(time.Hour)
	o.step()
	o.want("ops: a x1, a x1, a x1")
}

// What one recipient refused and another one later is kept for both.
func TestRefusedOneAfterTheOther(t *testing.T) {
	o := newOffice(t)
	o.to = []string{"ops", "second"}
	o.say["ops"], o.say["second"] = errNoUser, errGreylisted
	o.add("a")
	pause := o.step()
	o.say["second"] = errNoUser
	o.pass(pause)
	o.stepNow()
	o.say = map[string]error{}
	o.pass(time.Hour)
	o.putAllBack()
	o.stepNow()
	slices.SortFunc(o.got, func(a, b sent) int { return strings.Compare(a.to[0], b.to[0]) })
	o.want("ops: a x1", "second: a x1")
}

// When the time is up, the message at hand goes, and the others wait for who delivers next.
func TestTimeIsUp(t *testing.T) {
	o := newOffice(t)
	for _, key := range []string{"a", "b"} {
		o.addItem(Item{Alone: true}, key)
	}
	o.pass(settleTime)
	ctx, cancel := context.WithCancel(t.Context())
	o.onSend = cancel
	for range 2 {
		lock, err := o.box.Lock(0)
		if err == nil {
			err = o.d.Run(ctx, lock, time.Minute)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	o.want("ops: a x1")
	o.restart()
	o.stepNow()
	o.want("ops: b x1")
}
