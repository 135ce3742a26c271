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
				tmp := filepath.Join(o.box.dir, dirTmp)
				o.onSend = func() {
					if err := os.RemoveAll(tmp); err != nil {
						t.Error(err)
					}
				}
				for _, key := range keys {
					o.add(key)
				}
				o.pass(gatherTime)
				for range 3 {
					_, _ = o.d.step(context.Background()) // it may complain about the disk
					if err := os.MkdirAll(tmp, 0o700); err != nil {
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
				if rows := o.rows(); len(rows) > 0 {
					t.Errorf("%+v are left", rows)
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
	o.tooLong = -1
	o.onSend = func() { panic("sent") }
	o.d.courier = broken{o.courier}
	o.add("a")
	o.step()
	if o.count(Refused) != 1 || o.logged("composing: boom") != 1 {
		t.Errorf("%+v, log %q", o.rows(), o.log)
	}
}

type broken struct{ *courier }

func (broken) Compose(context.Context, []string, []Topic, int) ([]byte, error) { panic("boom") }

func TestDamagedFilesAreKept(t *testing.T) {
	o := newOffice(t)
	for name, text := range map[string]string{"waiting/1.json": "{\"program\":", "waiting/2.json": "", "progress.json": "x"} {
		if err := os.WriteFile(filepath.Join(o.box.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.add("a")
	o.restart()
	o.step()
	o.want("ops: a x1")
	for _, name := range []string{"1.damaged", "2.damaged"} {
		if _, err := os.Stat(filepath.Join(o.box.dir, dirRefused, name)); err != nil {
			t.Error(err)
		}
	}
	if n := o.logged("damaged file in the queue"); n != 3 {
		t.Errorf("the log has %d damaged files: %q", n, o.log)
	}
}

// Who asks for another attempt while a deliverer is about to leave gets it.
func TestRetryAskedAtTheEnd(t *testing.T) {
	o := newOffice(t)
	o.down = errDown
	attempts := 0
	o.onSend = func() {
		if attempts++; attempts == 1 {
			if err := o.box.AskRetry(); err != nil {
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
