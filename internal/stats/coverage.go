package stats

import (
	"cmp"
	"slices"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
)

// coverage is a time all of whose alerts are in a file that was read. As long as both are
// on, the text and the JSON hold the same alerts, but either can be switched off, and on
// again, at any hour: so what the one covers is skipped in the other, and the rest counts.
type coverage struct {
	json     bool
	from, to int64 // in seconds, both included
	// until is when the file was written to last: it would hold what came before.
	until int64
}

// coverageOf returns what a file covers; last is the time of its last alert. When a packed
// one was written to is not known, so there it is the last alert that counts.
func coverageOf(f *logFile, last int64, whole bool) coverage {
	c := coverage{json: f.json, from: f.first - alerts.Disorder, to: last, until: last}
	if whole && !f.gz {
		c.until = f.mod.Unix()
	}
	return c
}

// covered reports whether all that the file holds was read from another one. Files are packed
// some time after the last alert; reading one once more takes time, but counts nothing twice.
func covered(f *logFile, all []coverage) bool {
	late := int64(60)
	if f.gz {
		late = 3600
	}
	return slices.ContainsFunc(all, func(c coverage) bool {
		return c.json != f.json && c.from <= f.begin() && f.mod.Unix() <= c.until+late
	})
}

// packedCopy reports whether f is one of the files, packed. When the text is switched off,
// alerts.log stays behind, and its dated name is packed all the same.
func packedCopy(f *logFile, files []logFile) bool {
	return f.gz && f.first != 0 && slices.ContainsFunc(files, func(plain logFile) bool {
		return plain.json == f.json && !plain.gz && plain.first == f.first && plain.size == f.unpackedSize()
	})
}

// inTurn sorts by day, and within one the text before the JSON, since it is read several
// times as fast; a JSON that began earlier comes first, as holds go by the order of time.
func inTurn(files []logFile, loc *time.Location) {
	day := func(f *logFile) int {
		t := time.Unix(f.begin(), 0).In(loc)
		return t.Year()*1000 + t.YearDay()
	}
	text := map[int]int64{} // when the text of a day begins
	for i := range files {
		if f := &files[i]; !f.json {
			if at, ok := text[day(f)]; !ok || f.begin() < at {
				text[day(f)] = f.begin()
			}
		}
	}
	turn := func(f *logFile) int {
		switch {
		case f.json && f.begin() < text[day(f)]:
			return 0
		case f.json:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(files, func(a, b logFile) int {
		return cmp.Or(cmp.Compare(day(&a), day(&b)), cmp.Compare(turn(&a), turn(&b)),
			cmp.Compare(a.begin(), b.begin()))
	})
}
