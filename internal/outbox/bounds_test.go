package outbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What has no room is counted, the oldest first and reports last, and the next message says how
// much that was, and of what most.
func TestBoundOfItems(t *testing.T) {
	o := newOffice(t)
	o.box.maxItems = 5
	o.addItem(Item{Alone: true}, "report")
	for i := range 12 {
		o.add(fmt.Sprint("key", i))
		if i%10 == 0 { // twice, so it stays
			o.add(fmt.Sprint("key", i))
		}
		o.pass(time.Millisecond)
	}
	o.step()
	if o.told != 8 || o.top["key1"] != 1 ||
		o.logged("the mail queue is full: ") != 1 {
		t.Errorf("told of %d, %v, log %q", o.told, o.top, o.log)
	}
	o.want("ops: report x1", "ops: key0 x2", "ops: key9 x1", "ops: key10 x2", "ops: key11 x1")
	o.add("next")
	o.step()
	o.want("ops: next x1")
	if o.told != 8 {
		t.Errorf("told of %d again", o.told-8)
	}
}

// Long texts are dropped before items are.
func TestBoundOfBytes(t *testing.T) {
	o := newOffice(t)
	o.limits.PerHour = 1
	o.box.maxBytes = 5000
	for i := range 20 {
		o.add(fmt.Sprint("key", i, " ", strings.Repeat("x", 1000)))
	}
	o.step()
	got := o.take()
	if len(got) != 1 || strings.Count(got[0], "key") != 20 ||
		strings.Count(got[0], strings.Repeat("x", 900)) > 5 ||
		o.told != 0 {
		t.Errorf("told of %d, got %q", o.told, got)
	}
	for i := range 20 {
		o.add(fmt.Sprint("key", i, strings.Repeat("x", 1000)))
	}
	o.pass(time.Hour)
	o.step()
	if got := o.take(); len(got) != 1 || strings.Count(got[0], "key") != 4 || o.told != 16 {
		t.Errorf("told of %d, got %q", o.told, got)
	}
}

// While nobody delivers, what arrives comes in brief at first, then it is only counted, and in the
// end refused: nothing grows for ever.
func TestBoundOfArrivals(t *testing.T) {
	o := newOffice(t)
	o.limits.PerHour = 1
	o.box.maxArrivals = 20_000
	added := 0
	for ; ; added++ {
		item := Item{First: o.clock(), Key: fmt.Sprint(added), About: fmt.Sprint("about", added%7)}
		item.Body, _ = json.Marshal(fmt.Sprint("key", added, " ", strings.Repeat("x", 1000)))
		if err := o.box.Add(item, o.Shorten); err != nil {
			if !strings.Contains(err.Error(), "it is full") {
				t.Error(err)
			}
			break
		}
	}
	info, err := os.Stat(filepath.Join(o.box.dir, arrivalsFile))
	if err != nil || info.Size() > 61_000 {
		t.Errorf("%v, %v", info, err)
	}
	o.step()
	got := o.take()
	if len(got) != 1 || strings.Count(got[0], strings.Repeat("x", 900)) < 5 || o.told < 100 ||
		o.told+strings.Count(got[0], "key") != added {
		t.Errorf("%d added, told of %d, got %q", added, o.told, got)
	}
	if n := o.top["about3"]; n < o.told/8 || n > o.told/6 {
		t.Errorf("%d of %d", n, o.told)
	}
}

// Of ever so many names those that come most often stay.
func TestMostFrequent(t *testing.T) {
	var c Counted
	for i := range 100_000 {
		c.add(fmt.Sprint("once", i), 1)
		if i%50 == 0 {
			c.add("often", 1)
		}
	}
	if len(c.Top) > maxTop || c.Total != 102_000 || c.Top["often"] < 2000 || c.Top["often"] > 2600 {
		t.Errorf("%d names, %d in all, often %d", len(c.Top), c.Total, c.Top["often"])
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
