package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Where the queue can take no other file, as on a full disk, who got a message does not get it
// again because somebody else did not, and that one gets it later.
func TestNoRoomForTheRest(t *testing.T) {
	for name, say := range map[string]error{"deferred": errGreylisted, "refused": errNoUser} {
		for _, keys := range [][]string{{"a"}, {"a", "b", "c"}} {
			t.Run(fmt.Sprint(name, " ", len(keys)), func(t *testing.T) {
				o := newOffice(t)
				o.limits.PerHour = 1
				o.to = []string{"ops", "second"}
				o.say["ops"] = say
				temp := filepath.Join(o.box.dir, queueFile+".tmp")
				o.onSend = func() {
					if err := os.MkdirAll(filepath.Join(temp, "x"), 0o700); err != nil { // no file can be made
						t.Error(err)
					}
				}
				for _, key := range keys {
					o.add(key)
				}
				o.pass(gatherTime)
				for range 3 {
					_, _ = o.d.step(context.Background()) // it may complain about the disk
					if err := os.RemoveAll(temp); err != nil {
						t.Fatal(err)
					}
					o.onSend = nil
					o.restart()
					o.pass(2 * time.Hour)
				}
				o.once("second", keys...)
				o.say["ops"] = nil
				o.putAllBack()
				o.step()
				o.once("ops", keys...)
				o.once("second", keys...)
				if items := o.items(); len(items) > 0 {
					t.Errorf("%+v are left", items)
				}
			})
		}
	}
}

// A digest that gets too long to be one message goes in several.
func TestDigestTooLong(t *testing.T) {
	o := newOffice(t)
	o.limits.PerHour = 1
	o.tooLong = 3
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		o.add(key)
		o.pass(time.Millisecond)
	}
	o.step()
	o.want("ops: a x1, b x1, c x1")
	o.pass(time.Hour)
	o.step()
	o.want("ops: d x1, e x1, f x1")
}

// A message that cannot be made is kept aside and holds up no other.
func TestCannotBeMade(t *testing.T) {
	o := newOffice(t)
	o.down = refusal{errors.New("composing: boom")}
	o.add("a")
	o.step()
	o.down = nil
	o.add("b")
	o.step()
	o.want("ops: b x1")
	if o.count(Refused) != 1 || o.logged("composing: boom") != 1 {
		t.Errorf("%+v, log %q", o.items(), o.log)
	}
}

// What is damaged is reported, and what is sound beside it goes.
func TestDamagedFiles(t *testing.T) {
	o := newOffice(t)
	o.add("a")
	o.add("b")
	for name, text := range map[string]string{arrivalsFile: "{\"item\":\n", queueFile: "x\n\n"} {
		file, err := os.OpenFile(filepath.Join(o.box.dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err == nil {
			_, err = file.WriteString(text)
		}
		if err := errors.Join(err, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	o.add("c")
	o.restart()
	o.step()
	o.want("ops: a x1", "ops: b x1", "ops: c x1")
	if n := o.logged("damaged file in the queue"); n != 2 {
		t.Errorf("the log has %d damaged files: %q", n, o.log)
	}
}

// A process that is killed between saving the queue and removing what it took loses and doubles
// nothing.
func TestKilledWhileTaking(t *testing.T) {
	o := newOffice(t)
	o.down = errDown
	o.add("a")
	path := func(name string) string { return filepath.Join(o.box.dir, name) }
	if err := os.Rename(path(arrivalsFile), path(takenFile)); err != nil {
		t.Fatal(err)
	}
	o.add("b")
	if n := len(o.items()); n != 2 {
		t.Errorf("%d are listed", n)
	}
	if err := o.box.absorb(takenFile, o.d.queue, nil); err != nil {
		t.Fatal(err)
	}
	if err := o.box.save(o.d.queue); err != nil {
		t.Fatal(err)
	}
	o.restart()
	if n := len(o.items()); n != 2 {
		t.Errorf("%d are listed", n)
	}
	o.step()
	o.down = nil
	o.pass(time.Hour)
	o.stepNow()
	o.want("ops: a x1", "ops: b x1")
}

// Who asks for another attempt while a deliverer is about to leave gets it.
func TestRetryAskedAtTheEnd(t *testing.T) {
	o := newOffice(t)
	o.down = errDown
	attempts := 0
	o.onSend = func() {
		if attempts++; attempts == 1 {
			if err := o.box.Retry(); err != nil {
				t.Error(err)
			}
		}
	}
	o.add("a")
	o.pass(settleTime)
	lock, err := o.box.Lock(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.d.Run(context.Background(), lock, 0); err != nil || attempts != 2 {
		t.Errorf("%v, %d attempts", err, attempts)
	}
	if lock, err = o.box.Lock(0); err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := o.box.Lock(0); !errors.Is(err, ErrBusy) {
		t.Errorf("err = %v", err)
	}
}

// A deliverer that waits leaves when the queue is deleted, as by a purge, and brings nothing back.
func TestQueueDeleted(t *testing.T) {
	o := newOffice(t)
	o.down = errDown
	attempted := make(chan bool, 1)
	o.onSend = func() { attempted <- true }
	o.add("a")
	o.pass(settleTime)
	lock, err := o.box.Lock(0)
	if err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error)
	go func() {
		<-attempted
		err := errors.New("not tried")
		for i := 0; i < 100 && err != nil; i++ { // it may be writing
			err = os.RemoveAll(filepath.Dir(o.box.dir))
		}
		deleted <- err
	}()
	_ = o.d.Run(context.Background(), lock, time.Hour) // what it could not write is said by its log
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(o.box.dir)); !errors.Is(err, os.ErrNotExist) || len(attempted) > 0 {
		t.Errorf("the folder: %v; attempts after it was deleted: %d", err, len(attempted))
	}
}

// wants is a refusal for now that says for how long.
type wants struct {
	error
	pause time.Duration
}

func (w wants) RetryAfter() time.Duration { return w.pause }

// Who is asked to come back later does not come sooner, nor much later.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct{ asked, want time.Duration }{
		{3 * time.Second, 3 * time.Second}, {10 * time.Minute, 10 * time.Minute},
		{1e9 * time.Second, maxBackoff}, {0, firstBackoff},
	} {
		o := newOffice(t)
		o.say["ops"] = fmt.Errorf("ops: %w", wants{errGreylisted, test.asked})
		o.add("a")
		o.step()
		delete(o.say, "ops")
		o.pass(test.want - time.Second)
		o.stepNow()
		o.want()
		o.pass(time.Second)
		o.stepNow()
		o.want("ops: a x1")
	}
}

// Who refuses everything is not asked more often than the limit has it.
func TestRefusalsCount(t *testing.T) {
	o := newOffice(t)
	o.limits.PerHour = 3
	o.say["ops"] = errNoUser
	attempts := 0
	o.onSend = func() { attempts++ }
	for i := range 30 {
		o.add(fmt.Sprint("key", i))
		o.step()
		o.pass(time.Minute)
	}
	if attempts > 3 {
		t.Errorf("%d attempts in half an hour", attempts)
	}
}
