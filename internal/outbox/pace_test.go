package outbox

import (
	"testing"
	"time"
)

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
