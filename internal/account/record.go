package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// before is how an account was before it was locked here.
type before struct {
	Locked bool   `json:"locked"` // by an administrator, or not locked here
	Empty  bool   `json:"empty"`  // no password was needed
	Expire string `json:"expire"` // days since 1970, "" for never
	UID    int    `json:"uid"`
}

// recordName is the file in the state folder that says how accounts were before.
const recordName = Name + ".before"

// load returns how the accounts that are locked were before.
func (e *Enforcer) load() (map[string]before, error) {
	record := map[string]before{}
	if e.dir == "" {
		return record, nil
	}
	data, err := state.Load(e.dir, recordName, maxFile)
	if errors.Is(err, os.ErrNotExist) {
		return record, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &record)
	}
	if err != nil {
		return map[string]before{}, fmt.Errorf("reading how accounts were before they were locked: %s: %w",
			filepath.Join(e.dir, recordName), err)
	}
	return record, nil
}

// save writes the record, and returns when it is on the disk.
func (e *Enforcer) save(record map[string]before) error {
	if e.dir == "" {
		return nil
	}
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return state.Save(e.dir, recordName, data)
}
