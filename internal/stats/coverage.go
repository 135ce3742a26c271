package stats

import (
	"cmp"
	"slices"

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

// inTurn sorts by time, and leaves out files that are packed beside the plain one: when the
// text is switched off, alerts.log stays behind, and its dated name is packed all the same. Of
// files that begin together the text comes first, since it is read several times as fast.
func inTurn(files []logFile) (turns []logFile) {
	for _, f := range files {
		if !f.gz || f.first == 0 || !slices.ContainsFunc(files, func(plain logFile) bool {
			return plain.json == f.json && !plain.gz && plain.first == f.first
		}) {
			turns = append(turns, f)
		}
	}
	slices.SortStableFunc(turns, func(a, b logFile) int { return cmp.Compare(a.turn(), b.turn()) })
	return turns
}

func (l *logFile) turn() int64 {
	if l.json {
		return l.begin() + alerts.Disorder
	}
	return l.begin()
}
