package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func runsOf(rssKiB int64, millis ...int) *timing {
	t := &timing{rssKiB: rssKiB}
	for _, ms := range millis {
		t.runs = append(t.runs, time.Duration(ms)*time.Millisecond)
	}
	return t
}

func TestQuantile(t *testing.T) {
	runs := runsOf(0, 9, 1, 8, 2, 7, 3, 6, 4, 5, 10, 11)
	got := []float64{runs.quantile(0.1), runs.quantile(0.5), runs.quantile(1)}
	if !cmp.Equal(got, []float64{2, 6, 11}) {
		t.Errorf("quantiles %v", got)
	}
	if got := runsOf(0, 7).quantile(0.1); got != 7 {
		t.Errorf("of a single run %v", got)
	}
}

func TestJudged(t *testing.T) {
	for _, test := range []struct {
		name string
		got  judged
		want judged
	}{
		{"below", atMost(2.1, 2.2), judged{2.1, 2.2, false}},
		{"on it", atMost(2.2, 2.2), judged{2.2, 2.2, false}},
		{"above", atMost(2.3, 2.2), judged{2.3, 2.2, true}},
		{"no goal", atMost(9, 0), judged{9, 0, false}},
		{"enough", atLeast(0.9, 0.9), judged{0.9, 0.9, false}},
		{"too little", atLeast(0.89, 0.9), judged{0.89, 0.9, true}},
		{"nothing to reach", atLeast(0.1, 0), judged{0.1, 0, false}},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, test.got, test.want)
		}
	}
}

func TestRows(t *testing.T) {
	c := benchCase{name: "sets", flat: true, floors: []floor{
		{name: "a", deleteName: "b", deleteGoal: 2.2},
		{name: "c", deleteName: "c", deleteGoal: 3, judgedAt: 1000},
	}}
	lanes := []*lane{
		{standing: 0, timings: map[string]*timing{"true": runsOf(0, 1), "ours": runsOf(7168, 4),
			"a": runsOf(0, 2), "c": runsOf(0, 1)}},
		{standing: flatAt, timings: map[string]*timing{"true": runsOf(0, 1), "ours": runsOf(40<<10, 5),
			"a": runsOf(0, 2), "peer": runsOf(0, 50)}},
	}
	want := []timeRow{
		{
			Case: "sets", Action: "delete", Standing: 0, Runs: 1, True: 1, Ours: 4, OursP10: 4, Floor: "b",
			FloorMS: 2, FloorP10: 2,
			Ratio: judged{2, 2.2, false}, Growth: judged{1, 0, false}, MiB: judged{7, 32, false},
		},
		{
			Case: "sets", Action: "delete", Standing: 0, Runs: 1, True: 1, Ours: 4, OursP10: 4, Floor: "c",
			FloorMS: 1, FloorP10: 1,
			Ratio: judged{4, 0, false},
		},
		{
			Case: "sets", Action: "delete", Standing: flatAt, Runs: 1, True: 1, Ours: 5, OursP10: 5, Peer: 50,
			Floor: "b", FloorMS: 2, FloorP10: 2,
			Ratio: judged{2.5, 2.2, true}, Growth: judged{1.25, 1.2, true}, MiB: judged{40, 32, true},
		},
	}
	got := c.rows(lanes, "delete")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	r := results{Times: got, Storms: []stormRow{{All: atMost(1, 2), Longest: atMost(3, 2), Lost: 1}},
		Packets: []packetRow{{PassedShare: atLeast(0.95, 0.9)}}}
	if all, missed := r.goals(); all != 9 || missed != 5 {
		t.Errorf("%d judged and %d missed, want 9 and 5", all, missed)
	}
}

func TestPacketRows(t *testing.T) {
	every := func(d time.Duration) (out times) {
		for i := range out {
			out[i] = d
		}
		return out
	}
	links := []*link{
		{blocks: noFilter, bestPassed: every(perCall * time.Microsecond)},
		{blocks: 0, bestPassed: every(2 * perCall * time.Microsecond)},
		{blocks: flatAt, bestPassed: every(4 * perCall * time.Microsecond),
			bestDropped: every(2 * perCall * time.Microsecond), dropped: &volley{}},
	}
	want := []packetRow{
		{Case: "sets", Blocks: noFilter, Passed: 1000, PassedShare: judged{2, 0, false}},
		{Case: "sets", Blocks: 0, Passed: 500, PassedShare: judged{1, 0, false}},
		{Case: "sets", Blocks: flatAt, Passed: 250, PassedShare: judged{0.5, 0.9, true}, Dropped: 500,
			DroppedShare: judged{1, 0.9, false}},
	}
	if diff := cmp.Diff(want, packetRows("sets", links)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Every case that is timed has a judged floor for each number of standing blocks that the goals speak of.
func TestCasesHaveFloors(t *testing.T) {
	for _, c := range cases {
		for _, standing := range []int{0, 1000, 10_000, flatAt} {
			if c.most > 0 && standing > c.most || c.floors == nil {
				continue
			}
			floors, judged := 0, false
			for _, f := range c.floors {
				if f.holds(standing) {
					floors++
					judged = judged || f.goalAt(standing, "add") > 0 && f.goalAt(standing, "delete") > 0
				}
			}
			if named := standing == 10_000 || c.program != "host-deny"; floors == 0 || judged != named {
				t.Errorf("%s with %d standing: %d floors, judged %t, want %t", c.name, standing, floors,
					judged, named)
			}
		}
	}
}
