package kernel

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestListWhereNothingWasEverRouted: a namespace that is new has not even a routing table.
func TestListWhereNothingWasEverRouted(t *testing.T) {
	if !Isolated(t) {
		return
	}
	var here Host
	bin := buildPrograms(t)
	for _, program := range []string{"route-null", "firewall-drop"} {
		if got := here.Run(t, filepath.Join(bin, program), "list"); !strings.Contains(got, "nobody is blocked") {
			t.Errorf("%s list = %q", program, got)
		}
	}
}
