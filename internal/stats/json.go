package stats

import (
	"bytes"
	"encoding/json"
)

// JSON writes the report as docs/response-stats-json.md describes it.
func (r *Report) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	err := enc.Encode(r)
	return b.Bytes(), err
}
