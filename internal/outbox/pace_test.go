package outbox

import (
	"fmt"
	"testing"
	"time"
)

// Why returns what an item waits for, and until when.
func TestWhy(t *testing.T) {
	o := newOffice(t)
	o.limits = Limits{PerHour: 1, Coalesce: time.Minute}
	why := func() string {
		items, p, err := o.box.List(o.clock())
		if err != nil || len(items) != 1 {
			t.Fatal(items, err)
		}
		why, until := p.Why(items[0], 1, o.limits, o.clock())
		return fmt.Sprintf("%s %.0f", why, max(0, until.Sub(o.clock()).Seconds()))
	}
	o.down = errDown
	o.add("a")
	o.step()
	if got := why(); got != "the last attempt failed 15" {
		t.Error(got)
	}
	o.down = nil
	o.say["ops"] = errGreylisted
	o.step()
	o.pass(15 * time.Second)
	o.stepNow()
	if got := why(); got != "the server deferred it 15" {
		t.Error(got)
	}
	o.say["ops"] = nil
	o.pass(time.Minute)
	o.stepNow()
	o.want("ops: a x1")
	o.add("a")
	o.step()
	if got := why(); got != "one about it went just now 58" {
		t.Error(got)
	}
	o.pass(time.Minute)
	o.stepNow()
	if got := why(); got != "1 went in the last hour, 1 may 3538" {
		t.Error(got)
	}
}

// In no hour do more mails go than allowed, whatever comes, and nothing waits long.
func TestPace(t *testing.T) {
	start := time.Unix(1795392000, 0)
	for _, most := range []int{1, 2, 3, 12, 100} {
		for name, every := range map[string]time.Duration{"at once": 0, "steady": 3600 * time.Millisecond, "slow": 4 * time.Minute} {
			p := pace{most: most}
			var all []sending
			waiting, arrived := 0, 0
			var longest time.Duration
			oldest := start
			for now := start; now.Before(start.Add(5 * time.Hour)); now = now.Add(time.Second) {
				for arrived < 1000 && !start.Add(time.Duration(arrived)*every).After(now) {
					if arrived++; waiting == 0 {
						oldest = now
					}
					waiting++
				}
				for waiting > 0 {
					n, at := p.next(now, waiting)
					if at.After(now) {
						break
					}
					longest = max(longest, now.Sub(oldest))
					s := sending{now, n > 1}
					p.sent = append(p.sent, s)
					all = append(all, s)
					waiting -= n
				}
			}
			for i := range all {
				if i >= most && all[i].At.Sub(all[i-most].At) < hour {
					t.Errorf(
						"%s, %d an hour: more than that from %s to %s",
						name,
						most,
						all[i-most].At,
						all[i].At,
					)
					break
				}
			}
			if waiting > 0 && name != "slow" { // which does not end
				t.Errorf("%s, %d an hour: %d still wait", name, most, waiting)
			}
			if longest > hour {
				t.Errorf("%s, %d an hour: one waited for %s", name, most, longest)
			}
			t.Logf("%s, %d an hour: %d mails, longest wait %s", name, most, len(all), longest)
		}
	}
}
