package stats

// HTML is soon.
func (r *Report) HTML() ([]byte, error) { return nil, nil }
