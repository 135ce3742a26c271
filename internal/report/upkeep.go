package report

import (
	"os"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
)

// upkeep returns metrics of what is no report: when `ossec-ar maintain` last ran, and how many notices
// wait to be delivered. What cannot be read, as by another user than root, is left out.
func upkeep(home ossec.Home, now time.Time) []byte {
	m := &metricsWriter{}
	if info, err := os.Stat(home.LastMaintain()); err == nil {
		m.metric("ossec_ar_maintained_timestamp_seconds", "When ossec-ar maintain last ran.")
		m.value(uint64(max(info.ModTime().Unix(), 0)))
	}
	waiting, readable := 0, false
	for _, channel := range notice.Channels {
		box, err := outbox.Open(channel.Queue(home))
		if err != nil {
			continue
		}
		if items, _, err := box.List(now); err == nil {
			items = slices.DeleteFunc(items, func(i *outbox.Item) bool { return i.State() == outbox.Refused })
			waiting, readable = waiting+len(items), true
		}
	}
	if readable {
		m.metric("ossec_ar_notices_waiting", "Notices that wait to be delivered.")
		m.value(uint64(waiting))
	}
	return m.Bytes()
}
