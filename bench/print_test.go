package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var some = results{
	Machine: []string{"2 x processor"},
	Times: []timeRow{
		{
			Case: "firewall-drop ipset", Action: "add", Standing: 0, True: 0.5, Ours: 3, OursP10: 2.5,
			Floor: "ipset add", FloorMS: 1, FloorP10: 0.9,
			Ratio: atMost(3, 2.2), Growth: atMost(1, 0), MiB: atMost(7.25, 32),
		},
		{
			Case: "host-deny", Action: "delete", Standing: 10, True: 0.5, Ours: 3, OursP10: 2.5, Peer: 16,
			Floor: "cp", FloorMS: 1, FloorP10: 0.9,
			Ratio: atMost(3, 0), MiB: atMost(33, 32),
		},
	},
	Waiting: []waitingRow{{Case: "route-null", Calls: 200, Ours: 300, Peer: 250, Ratio: atLeast(1.2, 1)}},
	Storms: []stormRow{{
		Case: "host-deny", AtOnce: 200, Single: 5, All: atMost(0.5, 1), Longest: atMost(1.5, 1),
		MiB: atMost(300, mostStormMiB), Failed: 1, Lost: 2,
	}},
	Packets: []packetRow{
		{Case: "firewall-drop ipset", Blocks: noFilter, Passed: 600, PassedShare: atLeast(1.1, 0)},
		{Case: "firewall-drop ipset", Blocks: flatAt, Passed: 500, PassedShare: atLeast(0.95, 0.9),
			Dropped: 400, DroppedShare: atLeast(0.8, 0.9)},
	},
	Bulk: []bulkRow{{
		Case: "host-deny", Addresses: 100_000, Import: 1, List: atMost(0.9, 1), ListMiB: atMost(70, 64),
		FewMS: atMost(12, 20), Idle: atMost(0.5, 1), Flushed: atMost(2, 3), Unimport: 3, MiB: atMost(30, 32),
	}},
}

const somePrinted = `2 x processor

                 case  action  standing  true      floor    ms   p10  ours ms   p10  peer ms        ratio  goal  to 0 (1.2)     MiB (32)
  firewall-drop ipset     add         0  0.50  ipset add  1.00  0.90     3.00  2.50        -  3.00 missed   2.2      (1.00)          7.2
            host-deny  delete        10  0.50         cp  1.00  0.90     3.00  2.50    16.00       (3.00)     -           -  33.0 missed

        case  calls  a second  peer's  ratio  goal
  route-null    200       300     250   1.20   1.0

       case  at once  single ms  all s    longest s  goal s  MiB (4096)    failed      lost
  host-deny      200       5.00   0.50  1.50 missed    1.00         300  1 missed  2 missed

                 case     blocks  passed kpps    to 0  dropped kpps         to 0  goal
  firewall-drop ipset  no filter          600  (1.10)             -            -     -
  firewall-drop ipset     100000          500    0.95           400  0.80 missed   0.9

       case  addresses  import s  list s (1)     MiB (64)  maintain 1000: ms (20)  all: s (1)  flushed: s (3)  unimport s  MiB (32)
  host-deny     100000      1.00        0.90  70.0 missed                    12.0        0.50            2.00        3.00      30.0

16 values beside a goal, 6 missed
`

func TestPrint(t *testing.T) {
	var b strings.Builder
	if err := some.print(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(somePrinted, b.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	b, err := parse([]string{"-standing", "0,7", "-storms", ""})
	if err != nil || !cmp.Equal(b.standing, []int{0, 7}) || len(b.sizes) != 0 {
		t.Errorf("%v: %+v", err, b)
	}
	for _, args := range [][]string{{"-standing", "x"}, {"-storms", "-1"}, {"-runs", "0"},
		{"-list", "1000000"}, {"-standing", "1000000"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestShowJSON(t *testing.T) {
	var out strings.Builder
	if err := (&bench{asJSON: true}).show(some, &out); err != nil {
		t.Fatal(err)
	}
	var got results
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(some, got); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
}
