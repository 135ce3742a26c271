package config

import (
	"strings"
	"testing"
	"time"
)

// TestEscalate: steps are read, and one that is wrong is reported and left out.
func TestEscalate(t *testing.T) {
	c, path, err := load(t, `
[[escalate]]
after = 3
within = "7d"
block = "30d"

[[escalate]]
after = 1
within = "7d"
block = "90d"

[[escalate]]
after = 5
within = "36h"
block = "90d"
blok = "1d"
`)
	if len(c.Escalate) != 2 || c.Escalate[0].Block.Duration != 30*24*time.Hour || c.Escalate[1].Within.Duration != 36*time.Hour {
		t.Errorf("got %+v", c.Escalate)
	}
	for _, want := range []string{path + ":", "a step has after (2 or more), within and block", `unknown key "blok"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if c, _, err := load(t, "escalate = 3\n"); err == nil || len(c.Escalate) != 0 {
		t.Errorf("a number: %+v, %v", c.Escalate, err)
	}
	if _, _, err := load(t, "[[escalate]]\nafter = 3\nwithin = \"soon\"\nblock = \"1d\"\n"); err == nil || !strings.Contains(err.Error(), "soon") {
		t.Errorf("no duration: %v", err)
	}
}
