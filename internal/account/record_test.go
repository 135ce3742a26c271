package account

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// TestStateFolderExchanged: what others put in the place of the state folder after it was opened
// says nothing about accounts, and is not written to.
func TestStateFolderExchanged(t *testing.T) {
	dir := t.TempDir()
	e, err := Kind.New(config.Default(), dir)
	if err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(dir, recordName)
	if err := os.WriteFile(record, []byte(`{"mallory":{}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	const want = "that nobody else may write in"
	if l, err := e.List(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("List: %v, %v, want %q", l, err, want)
	}
	err = e.Unblock(t.Context(), target.Account("mallory"))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Unblock: %v, want %q", err, want)
	}
	if err := e.(*Enforcer).save(map[string]before{}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("save: %v, want %q", err, want)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v, want the record alone", files, err)
	}
}
