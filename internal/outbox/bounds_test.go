package outbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What has no room is counted, the oldest first and reports last, and the next message says how
// much that was.
func TestBoundOfItems(t *testing.T) {
	o := newOffice(t)
	o.box.maxItems = 5
	o.addItem(Item{Alone: true}, "report")
	for i := range 12 {
		o.add(fmt.Sprint("key", i))
		o.pass(time.Millisecond)
	}
	o.step()
	if o.told != 8 || o.logged("the mail queue is full: 8 items are only counted") != 1 {
		t.Errorf("told of %d, log %q", o.told, o.log)
	}
	got := o.take()
	slices.Sort(got)
	if want := []string{"ops: key10 x1", "ops: key11 x1", "ops: key8 x1", "ops: key9 x1"}; len(got) != 5 || !slices.Equal(got[1:], want) {
		t.Errorf("got %q", got)
	}
	o.add("next")
	o.step()
	o.want("ops: next x1")
	if o.told != 8 {
		t.Errorf("told of %d again", o.told-8)
	}
	for range 6 {
		o.addItem(Item{Alone: true}, "report")
	}
	if n := len(o.rows()); n != 5 {
		t.Errorf("%d wait", n)
	}
}

func TestBoundOfBytes(t *testing.T) {
	o := newOffice(t)
	o.down = errDown
	o.box.maxBytes = 50_000
	for i := range fewItems + 100 {
		o.add(fmt.Sprint("key", i, strings.Repeat("x", 1000)))
	}
	o.step()
	_, progress, err := o.box.List(o.clock())
	rows := len(o.rows())
	if err != nil || rows > 200 || rows < 20 || progress.Counted+rows != fewItems+100 {
		t.Errorf("%v, %d wait, %d are counted", err, rows, progress.Counted)
	}
	o.down, o.told = nil, 0
	o.pass(time.Hour)
	o.restart()
	o.step()
	if o.told != progress.Counted {
		t.Errorf("told of %d", o.told)
	}
}

func TestBoundOfRefused(t *testing.T) {
	o := newOffice(t)
	o.say["ops"] = errNoUser
	o.box.maxRefused = 20
	for i := range 25 {
		o.add(fmt.Sprint("key", i))
	}
	o.step()
	if n := o.count(Refused); n != 20 || o.logged("one more is dropped") != 5 {
		t.Errorf("%d are kept", n)
	}
}

func TestFirstToday(t *testing.T) {
	o := newOffice(t)
	var got []bool
	for range 2 {
		got = append(got, o.box.FirstToday(o.clock()), o.box.FirstToday(o.clock().Add(time.Hour)))
		o.pass(25 * time.Hour)
	}
	if !slices.Equal(got, []bool{true, false, true, false}) {
		t.Errorf("got %v", got)
	}
}
