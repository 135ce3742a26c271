package stats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// messyLog is a log of some MiB in all dialects, changed here and there, with lines that
// are too long, empty, or of no time.
func messyLog(random *rand.Rand, from time.Time, size int) []byte {
	const alphabet = "0123456789.. -:/{}\"\x00\xff"
	programs := []string{"firewall-drop.sh", "firewall-drop", "host-deny.sh", "route-null"}
	var b bytes.Buffer
	for i := 0; b.Len() < size; i++ {
		at := from.Add(time.Duration(i+random.IntN(600)) * time.Second)
		v := random.Uint32() & 0x0307000f
		addr := netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		if v%16 == 3 {
			addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 9: byte(v), 15: byte(v >> 16)})
		}
		program, rule := programs[random.IntN(len(programs))], 5700+random.IntN(40)
		stamp := at.Format("Mon Jan _2 15:04:05 MST 2006")
		var line []byte
		switch n := random.IntN(100); {
		case n < 88:
			word := []string{"add", "delete", "add", "delete", "skip", "error"}[random.IntN(6-n%3)]
			line = fmt.Appendf(nil, "%s /var/ossec/active-response/bin/%s %s - %s %d.%d %d - Skipped IP: %s: whitelisted by x", stamp, program, word, addr, at.Unix(), i, rule, addr)
		case n < 92:
			line = fmt.Appendf(nil, `%s active-response/bin/%s: {"version":1,"command":"add","parameters":{"alert":{"rule":{"id":"%d"},"data":{"srcip":"%s"}}}}`,
				at.Format("2006/01/02 15:04:05"), program, rule, addr)
		case n < 96:
			line = fmt.Appendf(nil, "%s active-response/bin/%s: %s", at.Format("2006/01/02 15:04:05"), program, []string{"Starting", "Aborted", "Ended", "Aborted"}[n%4])
		default:
			line = []byte(strings.Repeat("garbage ", n%3))
		}
		switch n := random.IntN(20_000); {
		case n < 1000 && len(line) > 0:
			line[len(line)/5+random.IntN(len(line)-len(line)/5)] = alphabet[random.IntN(len(alphabet))]
		case n < 2000 && len(line) > 100: // not the program: there would be too many
			line = slices.Delete(line, 85, 85+random.IntN(8))
		case n == 2000:
			line = bytes.Repeat([]byte("x"), 2*maxLine)
		case n > 2000 && n < 2010:
			line = append(line, bytes.Repeat([]byte(" y"), chunkSize)...)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteString("Mon Nov 23 12:00:00 UTC 2026 x add - 192.0.2.1 1.2 5712")
	return b.Bytes()
}

// plainly counts a log one line after the other, each as arlog's Parser reads it.
func (q *Query) plainly(text []byte) *tally {
	t := newTally(q.Period, q.Now.Location())
	d := q.newDecoder(t)
	for line := range strings.Lines(string(text)) {
		t.lines++
		var e event
		ok := line != "\n"
		switch {
		case len(line) > maxLine:
			e.kind, e.addr.low = unreadable, 1
		case ok:
			ok = d.decode(line, &e)
		}
		if e.when != 0 {
			t.current = e.when
			t.earliest = min(t.earliest, e.when)
			t.back = max(t.back, max(t.high, e.when)-e.when)
			t.high = max(t.high, e.when)
		}
		e.when = t.current
		if ok && (e.kind >= unreadable || e.when >= t.from && e.when < t.until) {
			t.add(&e)
		}
	}
	t.settle()
	return t
}

// All that makes reading fast changes nothing about what is counted.
func TestScanAsPlain(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	now := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	text := messyLog(rand.New(rand.NewPCG(1, 2)), now.Add(-36*time.Hour), 12<<20)
	path := filepath.Join(t.TempDir(), "active-responses.log")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	networks, err := ParseNetworks([]string{"2001:db8::/32", "3.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]Query{
		"all":            {},
		"a day":          {Period: Today(now)},
		"by rule":        {Filter: Filter{Rules: []string{"5712", "5720"}}},
		"by response":    {Filter: Filter{Responses: []string{"host-deny"}}},
		"by network":     {Filter: Filter{Networks: networks}},
		"all of a day":   {Period: Today(now), Filter: Filter{Networks: networks, Responses: []string{"firewall-drop"}, Rules: []string{"5712"}}},
		"nothing at all": {Period: Today(now.AddDate(1, 0, 0))},
	} {
		q.Log, q.Now, q.Thorough, q.LookBack = path, now, true, 0
		report := func(tally *tally) string {
			c := &collected{tally: tally}
			data, err := json.Marshal(c.report(&q, SourceResponses))
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%s back %d high %d earliest %d current %d", data, tally.back, tally.high, tally.earliest, tally.current)
		}
		got := q.collect(newTally(q.Period, time.UTC))
		if len(got.failures) > 0 {
			t.Fatal(got.failures)
		}
		if q.Period == (Period{}) && got.tally.lines < 20_000 {
			t.Errorf("%s: only %d lines", name, got.tally.lines)
		}
		if diff := cmp.Diff(report(q.plainly(text)), report(got.tally)); diff != "" {
			t.Errorf("%s (-plain +got):\n%.2000s", name, diff)
		}
	}
}

// A log that is cut while it is read: what was there is counted, and a note says so.
func TestLogShrinks(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "log")
	text := "Mon Nov 23 12:00:00 UTC 2026 x add - 192.0.2.1 1.2 5712\n"
	if err := os.WriteFile(path, []byte(strings.Repeat(text, 5)), 0o600); err != nil {
		t.Fatal(err)
	}
	q := Query{Period: Today(now), Now: now}
	c := &collected{tally: newTally(q.Period, time.UTC), bounds: q.bounds()}
	c.read([]span{{file: logFile{path: path, size: 1 << 20}, to: 1 << 20}}, q.want(), &q)
	if total := c.tally.total(); total.Blocks != 5 || len(c.notes) != 1 || !strings.Contains(c.notes[0], errShrunk.Error()) {
		t.Errorf("%d blocks, notes %q, failures %v", total.Blocks, c.notes, c.failures)
	}
}
