package enforcer

import (
	"errors"
	"fmt"
)

// Failures are errors of one kind, about many addresses or entries, of which the first few
// are kept. The zero value is none.
type Failures struct {
	first []error
	more  int
}

// Add adds an error; nil is none.
func (f *Failures) Add(err error) {
	const most = 8
	switch {
	case err == nil:
	case len(f.first) < most:
		f.first = append(f.first, err)
	default:
		f.more++
	}
}

// All returns them as one error, nil for none.
func (f *Failures) All() error {
	err := errors.Join(f.first...)
	if f.more > 0 {
		err = fmt.Errorf("%w\nand %d more", err, f.more)
	}
	return err
}
