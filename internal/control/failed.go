package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/notice"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const (
	// mostSingle is how many blocks that failed have a notice each. More are one notice.
	mostSingle = 20
	// mostCauses is how many causes that one names.
	mostCauses = 5
)

// announceFailed queues notices about blocks that failed, each once. Those that could be made by now are
// none.
func announceFailed(t *tool, failing []*response) error {
	var failed []lease.Lease
	var names []string
	var err error
	unannounced := map[*response][]lease.Lease{}
	for _, r := range failing {
		some, rerr := r.Unannounced()
		if err = errors.Join(err, r.about(rerr)); len(some) == 0 {
			continue
		}
		unannounced[r] = some
		failed, names = append(failed, some...), append(names, r.Kind.Name)
	}
	if len(failed) == 0 {
		return err
	}
	var notices []notice.Notice
	if len(failed) > mostSingle {
		notices = []notice.Notice{together(failed, names)}
	} else {
		for _, l := range failed {
			notices = append(notices, ofLease(t, l))
		}
	}
	queued := false
	for _, channel := range notice.Channels {
		some, qerr := notice.QueueFailed(&t.Program, channel, t.settings, notices)
		queued, err = queued || some, errors.Join(err, qerr)
	}
	for r, leases := range unannounced {
		if queued {
			err = errors.Join(err, r.about(r.Announced(leases)))
		}
	}
	return err
}

// ofLease makes the notice that a call about the same alert would.
func ofLease(t *tool, l lease.Lease) notice.Notice {
	about := request(l.Target)
	about.Action, about.User, about.RuleID, about.AlertID = arproto.Add, l.User, l.RuleID, l.AlertID
	return notice.Of(&about, t.Now())
}

// together makes one notice of many blocks of some responses that failed.
func together(failed []lease.Lease, responses []string) notice.Notice {
	counts := map[string]int{}
	cause := func(l lease.Lease) string {
		if l.Target.Account() == "" { // which would make each cause another
			l.Reason = strings.ReplaceAll(l.Reason, l.Blocks().String(), "...")
		}
		return printable.Line(l.Program + ": " + l.Reason)
	}
	first := failed[0]
	for _, l := range failed {
		counts[cause(l)]++
		if l.Renewed.Before(first.Renewed) {
			first = l
		}
	}
	causes := make([]string, 0, len(counts))
	for c := range counts {
		causes = append(causes, c)
	}
	slices.SortFunc(causes, func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	var text strings.Builder
	fmt.Fprintf(&text, "%d blocks failed, and ossec-ar maintain tries again each minute.\n", len(failed))
	fmt.Fprintf(&text, "\nThe first:\n    %s (rule %s)\n    %s\n\nThe causes:\n",
		first.Target, cmp.Or(printable.Line(first.RuleID), "-"), cause(first))
	for _, c := range causes[:min(len(causes), mostCauses)] {
		fmt.Fprintf(&text, "    %6d times: %s\n", counts[c], c)
	}
	if more := len(causes) - mostCauses; more > 0 {
		fmt.Fprintf(&text, "    and %d more\n", more)
	}
	text.WriteString("\nAll of them, and why this host cannot block:\n    ossec-ar list\n    ossec-ar check\n")
	return notice.Notice{Kind: notice.Failed, Subject: fmt.Sprintf("OSSEC Alert: %d Blocks Failed", len(failed)),
		Text: text.String(), Standing: notice.Standing{Responses: responses}}
}
