package notice

import (
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// Key is the same for notices that are about the same, once it is known whether the block failed.
func (n *Notice) Key(failed bool) string {
	kind := n.Kind
	if failed {
		kind = Failed
	}
	return string(kind) + "|" + n.About()
}

// QueueFailed puts notices that blocks failed into the outbox of a channel, for `ossec-ar maintain` to
// deliver. Those that say what a notice in it says already, or one that went just now, are left out, as
// that of the daemon's own call of the channel. queued is false when the channel is for nobody.
func QueueFailed(p *app.Program, ch Channel, settings config.Config, all []Notice) (queued bool, err error) {
	if set := ch.unset(p.Home, &settings) == nil; !set || !ch.onFailure(&settings) {
		return false, nil
	}
	box, err := outbox.Make(ch.Queue(p.Home))
	if err != nil {
		return false, err
	}
	items, progress, _ := box.List(p.Now()) // the deliverer logs what is damaged
	for _, n := range all {
		if n.said(items, progress.Mailed) {
			continue
		}
		if _, err := ch.put(p, n); err != nil {
			return false, err
		}
	}
	return true, nil
}

// said reports whether one of the items says that the block failed, or will, or one that went just now.
func (n *Notice) said(items []*outbox.Item, went map[string]time.Time) bool {
	if n.Kind == Alert && !n.Addr.IsValid() {
		return false // About is a rule, which many may break
	}
	if _, just := went[n.Key(true)]; just {
		return true
	}
	return slices.ContainsFunc(items, func(i *outbox.Item) bool {
		state := i.State()
		return i.About == n.About() && state != outbox.Refused && (strings.HasPrefix(i.Key, string(Failed)+"|") ||
			state == outbox.Arrived && strings.HasPrefix(i.Key, string(Alert)+"|"))
	})
}
