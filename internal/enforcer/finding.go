package enforcer

// Verdict is what came of looking at one thing.
type Verdict string

// The verdicts.
const (
	OK    Verdict = "ok"
	Skip  Verdict = "skip"  // not looked at: it means nothing here, or something else is in the way
	Warn  Verdict = "warn"  // works, but not as somebody may think
	Fault Verdict = "fault" // keeps blocks from being made, kept, seen or lifted
)

// Finding is what was found about one thing that blocks rest on: a row of `check`. An
// enforcer that can look itself over returns them from a method
// Inspect(ctx context.Context, root string) []Finding, which changes nothing; root is what
// the system's own files are under, "/" outside tests.
type Finding struct {
	What    string  `json:"what"` // what was looked at: "chain OSSEC_AR"
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"finding"`
	Mend    string  `json:"mend,omitempty"` // the command or the edit that mends it
}
