package notify

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
)

// How a notification stands in the list of the queue, and where it lies.
const (
	stateArrived = "arrived" // not looked into yet
	stateWaiting = "waiting"
	stateRefused = "refused"
)

var stateDirs = map[string]string{stateArrived: dirNew, stateWaiting: dirReady, stateRefused: dirFailed}

// list returns all that is in the queue, oldest first.
func (q *queue) list() ([]listed, progress, error) {
	rows := []listed{}
	p, err := q.load()
	if err != nil {
		return nil, p, err
	}
	names, err := q.names(dirNew)
	if err != nil {
		return nil, p, err
	}
	for _, name := range names {
		var e event
		if err := q.read(dirNew, name, &e); err != nil {
			continue // the deliverer took it meanwhile, or will set it aside
		}
		row := listed{ID: name, State: stateArrived, Kind: string(e.Kind), Rule: e.RuleID, Alerts: 1, Since: e.Queued}
		if e.Addr.IsValid() {
			row.Address = e.Addr.String()
		}
		rows = append(rows, row)
	}
	for _, state := range []string{stateWaiting, stateRefused} {
		names, err := q.names(stateDirs[state])
		if err != nil {
			return nil, p, err
		}
		for _, name := range names {
			var n notice
			if err := q.read(stateDirs[state], name, &n); err != nil {
				continue
			}
			row := listed{ID: name, State: state, Kind: string(n.Kind), Rule: n.RuleID, Alerts: n.Count, Since: n.First, Recipients: n.Recipients, Error: n.Error}
			if n.Addr.IsValid() {
				row.Address = n.Addr.String()
			}
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b listed) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return rows, p, nil
}

// putBack lets a refused notification wait again. It keeps its own name there, so that it
// meets no other.
func (q *queue) putBack(id string) error {
	err := q.root.Rename(place(dirFailed, id), place(dirReady, id))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("putting a mail back: %w", err)
	}
	return nil
}
