package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// settleTime is how long after it was added the fake takes to settle an item.
const settleTime = 2 * time.Second

// courier is a fake: the body of an item is its key, who gets a message is the same for all,
// and the server answers as say and down have it.
type courier struct {
	limits  Limits
	to      []string
	say     map[string]error // by recipient
	down    error            // of the server as a whole
	onSend  func()
	tooLong int // items in a message, 0 for no limit
	now     func() time.Time

	got  []sent
	log  []string
	told int // how many are only counted, in all messages
	top  map[string]int
}

// sent is a message that somebody accepted.
type sent struct {
	to    []string
	items []string // "KEY xCOUNT"
}

type refusal struct{ error }

func (refusal) Permanent() bool { return true }

var (
	errGreylisted = errors.New("450 greylisted")
	errNoUser     = refusal{errors.New("550 no such user")}
	errDown       = errors.New("connection refused")
)

func (c *courier) Configure() (Limits, error) { return c.limits, nil }

func (c *courier) Settle(_ context.Context, items []*Item) {
	for _, item := range items {
		_ = json.Unmarshal(item.Body, &item.Key)
		item.To = c.to
		item.Urgent = strings.HasPrefix(item.Key, "urgent")
		age := c.now().Sub(item.First)
		item.Settled = age >= settleTime || age < 0
	}
}

func (c *courier) Merge(body, _ json.RawMessage) json.RawMessage { return body }

// Shorten leaves the first word.
func (c *courier) Shorten(body json.RawMessage) json.RawMessage {
	word, rest, _ := strings.Cut(string(body), " ")
	if rest != "" {
		word += `"`
	}
	return json.RawMessage(word)
}

func (c *courier) Send(
	ctx context.Context,
	to []string,
	items []*Item,
	counted Counted,
) (int, map[string]error, error) {
	if c.onSend != nil {
		c.onSend()
	}
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	if c.tooLong > 0 && len(items) > c.tooLong {
		items = items[:c.tooLong]
	}
	if c.down != nil {
		return len(items), nil, c.down
	}
	m := sent{}
	for _, i := range items {
		m.items = append(m.items, fmt.Sprintf("%s x%d", i.Key, i.Count))
	}
	result := map[string]error{}
	for _, r := range to {
		if result[r] = c.say[r]; c.say[r] == nil {
			m.to = append(m.to, r)
		}
	}
	if len(m.to) > 0 {
		c.got = append(c.got, m)
		if c.told += counted.Total; counted.Total > 0 {
			c.top = counted.Top
		}
	}
	return len(items), result, nil
}

func (c *courier) Sent(items []*Item) { c.log = append(c.log, fmt.Sprintf("sent %d", len(items))) }
func (c *courier) Skipped(*Item)      { c.log = append(c.log, "skipped") }

func (c *courier) Failed(_ *Item, err error) { c.log = append(c.log, "failed: "+err.Error()) }
func (c *courier) Warn(err error)            { c.log = append(c.log, "warning: "+err.Error()) }

// logged counts the lines of the log that hold text.
func (c *courier) logged(text string) int { return strings.Count(strings.Join(c.log, "\n"), text) }

// take returns the messages since the last take, each as "TO: TOPICS".
func (c *courier) take() []string {
	var all []string
	for _, m := range c.got {
		all = append(all, strings.Join(m.to, "+")+": "+strings.Join(m.items, ", "))
	}
	c.got = nil
	return all
}

// named is how often each key was in a message for a recipient.
func (c *courier) named(to string) map[string]int {
	named := map[string]int{}
	for _, m := range c.got {
		for _, item := range m.items {
			for _, r := range m.to {
				if r == to {
					key, _, _ := strings.Cut(item, " ")
					named[key]++
				}
			}
		}
	}
	return named
}

// office is a queue, its deliverer, its courier, and a clock that only the test moves.
type office struct {
	*courier
	t   *testing.T
	box *Box
	d   *Deliverer

	mu   sync.Mutex
	time time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, time: time.Now().Truncate(time.Second)}
	o.courier = &courier{
		limits: Limits{PerHour: 12},
		to:     []string{"ops"},
		say:    map[string]error{},
		now:    o.clock,
	}
	dir, err := os.MkdirTemp("/dev/shm", "outbox") // nothing is synced there, which takes its time elsewhere
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // as far as it goes
	box, err := Make(filepath.Join(dir, "state/mail"))
	if err != nil {
		t.Fatal(err)
	}
	o.box = box
	o.restart()
	return o
}

// restart has another deliverer go on.
func (o *office) restart() {
	o.d = NewDeliverer(o.box, o.courier, o.clock)
	o.d.begin()
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.time
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.time = o.time.Add(d)
}

func (o *office) add(key string) { o.addItem(Item{}, key) }

func (o *office) addItem(item Item, key string) {
	o.t.Helper()
	item.First, item.Key, item.About = o.clock(), key, key
	item.Body, _ = json.Marshal(key)
	if err := o.box.Add(item, o.Shorten); err != nil {
		o.t.Fatal(err)
	}
}

// step makes one step after the settle time, and returns how long it is until the next is due.
func (o *office) step() time.Duration {
	o.t.Helper()
	o.pass(settleTime)
	return o.stepNow()
}

func (o *office) stepNow() time.Duration {
	o.t.Helper()
	next, err := o.d.step(context.Background())
	if err != nil {
		o.t.Fatal(err)
	}
	if next.IsZero() {
		return 0
	}
	return next.Sub(o.clock())
}

// want checks the messages since the last look.
func (o *office) want(messages ...string) {
	o.t.Helper()
	if got := o.take(); strings.Join(got, "\n") != strings.Join(messages, "\n") {
		o.t.Errorf("got %q, want %q", got, messages)
	}
}

func (o *office) items() []*Item {
	o.t.Helper()
	items, _, err := o.box.List(o.clock())
	if err != nil {
		o.t.Fatal(err)
	}
	return items
}

// count counts the items in a state.
func (o *office) count(state State) int {
	n := 0
	for _, i := range o.items() {
		if i.State() == state {
			n++
		}
	}
	return n
}

// putAllBack puts back what was refused.
func (o *office) putAllBack() {
	o.t.Helper()
	var ids []string
	for _, i := range o.items() {
		if i.State() == Refused {
			ids = append(ids, i.ID)
		}
	}
	if err := o.box.Retry(ids...); err != nil {
		o.t.Fatal(err)
	}
}

// once checks that each key is named once to a recipient.
func (o *office) once(to string, keys ...string) {
	o.t.Helper()
	want := map[string]int{}
	for _, key := range keys {
		want[key] = 1
	}
	if got := o.named(to); !maps.Equal(got, want) {
		o.t.Errorf("%s is told of %v, want %v", to, got, want)
	}
}
