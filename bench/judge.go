package main

// The goals. mostMiB is of memory, mostGrowth of the time at 100,000 standing blocks over that at
// 0, leastRate of the packets with 100,000 blocks over those with 0, mostStorm of a storm over the
// time that the processors need for as many single calls.
const (
	mostMiB    = 32
	mostGrowth = 1.2
	leastRate  = 0.9
	mostStorm  = 3
	flatAt     = 100_000

	mostFewMS          = 20 // maintain with fewLeases leases and nothing to do
	mostIdleSeconds    = 1  // the same with a whole list
	mostFlushedSeconds = 3  // maintain after a flush
	mostListSeconds    = 1
	mostListMiB        = 64

	mostStormMiB = 4096
)

// judged is a value beside its goal.
type judged struct {
	Value  float64 `json:"value"`
	Goal   float64 `json:"goal,omitempty"` // 0: none
	Missed bool    `json:"missed,omitempty"`
}

func atMost(value, goal float64) judged { return judged{value, goal, goal > 0 && value > goal} }

func atLeast(value, goal float64) judged { return judged{value, goal, value < goal} }

// timeRow is one action with one number of standing blocks, beside one floor. Times are in
// milliseconds.
type timeRow struct {
	Case     string  `json:"case"`
	Action   string  `json:"action"`
	Standing int     `json:"standing"`
	Runs     int     `json:"runs"`
	True     float64 `json:"true_ms"`
	Ours     float64 `json:"ours_ms"`
	OursP10  float64 `json:"ours_p10_ms"`
	Peer     float64 `json:"peer_ms,omitempty"`
	Floor    string  `json:"floor"`
	FloorMS  float64 `json:"floor_ms"`
	FloorP10 float64 `json:"floor_p10_ms"`
	Ratio    judged  `json:"ratio"`
	Growth   judged  `json:"to_0"` // ours over ours with nothing standing; 0: that was not asked for
	MiB      judged  `json:"rss_mib"`
}

// rows makes the rows of one action, one for each floor in each lane.
func (c benchCase) rows(lanes []*lane, action string) (rows []timeRow) {
	var empty float64 // the time with nothing standing
	for _, l := range lanes {
		if l.standing == 0 {
			empty = l.timings["ours"].quantile(0.5)
		}
	}
	for _, l := range lanes {
		ours, none := l.timings["ours"], l.timings["true"]
		row := timeRow{
			Case: c.name, Action: action, Standing: l.standing, Runs: len(ours.runs),
			True: none.quantile(0.5),
			Ours: ours.quantile(0.5), OursP10: ours.quantile(0.1),
			MiB: atMost(float64(ours.rssKiB)/1024, mostMiB),
		}
		if peer := l.timings["peer"]; peer != nil {
			row.Peer = peer.quantile(0.5)
		}
		if empty > 0 {
			row.Growth = atMost(row.Ours/empty, c.growthGoal(l.standing))
		}
		for _, f := range c.floors {
			t := l.timings[f.name]
			if t == nil {
				continue
			}
			row.Floor = f.name
			if action == "delete" {
				row.Floor = f.deleteName
			}
			row.FloorMS, row.FloorP10 = t.quantile(0.5), t.quantile(0.1)
			row.Ratio = atMost(row.Ours/row.FloorMS, f.goalAt(l.standing, action))
			rows = append(rows, row)
			row.Growth, row.MiB = judged{}, judged{} // they are judged once, whatever the floors
		}
	}
	return rows
}

func (c benchCase) growthGoal(standing int) float64 {
	if c.flat && standing == flatAt {
		return mostGrowth
	}
	return 0
}

// stormRow is many adds at once.
type stormRow struct {
	Case    string  `json:"case"`
	AtOnce  int     `json:"at_once"`
	Single  float64 `json:"single_ms"` // the median of some, one after the other
	All     judged  `json:"all_s"`
	Longest judged  `json:"longest_s"`
	MiB     judged  `json:"memory_mib"` // of all at once
	Failed  int     `json:"failed"`
	Lost    int     `json:"lost"`
}

// packetRow is the rate of packets, in thousands a second, from addresses that are not
// blocked and from ones that are, and each as a share of the first with no blocks.
type packetRow struct {
	Case         string  `json:"case"`
	Blocks       int     `json:"blocks"` // -1: no filter at all
	Passed       float64 `json:"passed_kpps"`
	PassedShare  judged  `json:"passed_share"`
	Dropped      float64 `json:"dropped_kpps,omitempty"`
	DroppedShare judged  `json:"dropped_share"`
}

// bulkRow is what ossec-ar takes for a whole list, in seconds but for FewMS.
type bulkRow struct {
	Case      string  `json:"case"`
	Addresses int     `json:"addresses"`
	Import    float64 `json:"import_s"`
	List      judged  `json:"list_s"`
	ListMiB   judged  `json:"list_rss_mib"`
	FewMS     judged  `json:"maintain_few_ms"` // fewLeases leases, nothing to do
	Idle      judged  `json:"maintain_s"`      // nothing to do
	Flushed   judged  `json:"maintain_after_flush_s"`
	Unimport  float64 `json:"unimport_s"`
	MiB       judged  `json:"rss_mib"` // of import and maintain
}

// results is everything that one run found.
type results struct {
	Machine []string     `json:"machine"`
	Times   []timeRow    `json:"times"`
	Waiting []waitingRow `json:"waiting"`
	Storms  []stormRow   `json:"storms"`
	Packets []packetRow  `json:"packets"`
	Bulk    []bulkRow    `json:"bulk"`
}

// goals counts what was judged, and what missed.
func (r results) goals() (judgedAll, missed int) {
	count := func(values ...judged) {
		for _, v := range values {
			if v.Goal > 0 {
				judgedAll++
			}
			if v.Missed {
				missed++
			}
		}
	}
	for _, row := range r.Times {
		count(row.Ratio, row.Growth, row.MiB)
	}
	for _, row := range r.Waiting {
		count(row.Ratio)
	}
	for _, row := range r.Storms {
		count(row.All, row.Longest, row.MiB)
		judgedAll++ // that none failed and none is lost
		if row.Failed+row.Lost > 0 {
			missed++
		}
	}
	for _, row := range r.Packets {
		count(row.PassedShare, row.DroppedShare)
	}
	for _, row := range r.Bulk {
		count(row.List, row.ListMiB, row.FewMS, row.Idle, row.Flushed, row.MiB)
	}
	return judgedAll, missed
}
