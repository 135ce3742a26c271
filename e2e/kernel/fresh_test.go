package kernel

import (
	"path/filepath"
	"testing"
)

// TestListWhereNothingWasEverRouted: a namespace that is new has not even a routing table.
func TestListWhereNothingWasEverRouted(t *testing.T) {
	if !Isolated(t) {
		return
	}
	bin := buildPrograms(t)
	for _, program := range []string{"route-null", "firewall-drop"} {
		wantNone(t, program, filepath.Join(bin, program))
	}
}
