package stats

// holdsPerAddress is how many holds the entry of an address has room for, which is nearly
// always enough. Of more, by other responses or on other agents, the table keeps up to
// maxMoreHolds, in some 5 MiB.
const (
	holdsPerAddress = 3
	maxMoreHolds    = 100_000
)

// hold is a block that has not been lifted yet.
type hold struct {
	since uint32 // seconds; 0 is a free place
	holder
}

// holder is a response on an agent; of this host's own log, the agent is 0.
type holder struct{ response, agent uint16 }

// moreHolds are those that have no room in the entries of their addresses.
type moreHolds struct {
	since map[heldBy]uint32
	// forgotten is how many holds, of these and of entries, were dropped for want of room.
	forgotten uint64
}

type heldBy struct {
	key
	holder
}

// hold notes that by blocks the address of e from now on, unless it does already.
func (t *table) hold(e *entry, by holder, when uint32) {
	var free *hold
	for i := range e.holds {
		switch h := &e.holds[i]; {
		case h.since == 0:
			free = h
		case h.holder == by:
			return
		}
	}
	more := &t.holds
	switch {
	case more.since[heldBy{e.key, by}] != 0:
	case free != nil:
		*free = hold{when, by}
	case len(more.since) >= maxMoreHolds:
		more.forgotten++
	default:
		if more.since == nil {
			more.since = map[heldBy]uint32{}
		}
		more.since[heldBy{e.key, by}] = when
	}
}

// release ends the hold of by on k and returns since when it was, 0 for unknown. e is nil
// when the table does not have k.
func (t *table) release(e *entry, k key, by holder) (since uint32) {
	if e != nil {
		for i := range e.holds {
			if h := &e.holds[i]; h.since != 0 && h.holder == by {
				since, h.since = h.since, 0
				return since
			}
		}
	}
	since = t.holds.since[heldBy{k, by}]
	delete(t.holds.since, heldBy{k, by})
	return since
}

func (e *entry) held() (n uint64) {
	for _, h := range e.holds {
		if h.since != 0 {
			n++
		}
	}
	return n
}
