package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Who may write in the folder above the state can put another in its place at any time. A
// deliverer that is at work goes on in the one that it opened, and nobody begins in a false
// one: no file elsewhere is touched.
func TestFolderSwapped(t *testing.T) {
	for _, swap := range []struct {
		name string
		do   func(state, victim string) error
	}{
		{"folders of another queue that lead elsewhere", func(state, victim string) error {
			mail := filepath.Join(state, "mail")
			return errors.Join(os.MkdirAll(mail, 0o755), os.Symlink(victim+"/1.json", mail+"/queue"),
				os.Symlink(victim+"/2.json", mail+"/arrivals"), os.Chmod(state, 0o777))
		}},
		{"a link to another state", func(state, victim string) error { return os.Symlink(filepath.Dir(victim), state) }},
		{"a pipe", func(state, _ string) error { return syscall.Mkfifo(state, 0o600) }},
		{"a queue that is a link", func(state, victim string) error {
			return errors.Join(os.Mkdir(state, 0o700), os.Symlink(victim, filepath.Join(state, "mail")))
		}},
		{"a queue that others may write in", func(state, _ string) error {
			mail := filepath.Join(state, "mail")
			return errors.Join(os.MkdirAll(mail, 0o700), os.Chmod(mail, 0o770))
		}},
	} {
		t.Run(swap.name, func(t *testing.T) {
			o := newOffice(t)
			o.add("a")
			victim := filepath.Join(t.TempDir(), "mail")
			files := []string{"1.json", "2.json"}
			for _, name := range files {
				path := filepath.Join(victim, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("{}"), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			state := filepath.Dir(o.box.dir)
			if err := errors.Join(os.Rename(state, state+".moved"), swap.do(state, victim)); err != nil {
				t.Fatal(err)
			}
			o.step()
			o.want("ops: a x1")
			if _, err := Open(o.box.dir); err == nil || !strings.Contains(err.Error(), "the mail queue: ") {
				t.Errorf("opening: %v", err)
			}
			if _, err := Make(o.box.dir); err == nil || !strings.Contains(err.Error(), "the mail queue: ") {
				t.Errorf("making: %v", err)
			}
			for _, name := range files {
				if text, err := os.ReadFile(filepath.Join(victim, name)); err != nil || string(text) != "{}" {
					t.Errorf("%s: %q, %v", name, text, err)
				}
			}
			if err := filepath.WalkDir(filepath.Dir(victim), func(path string, e os.DirEntry, err error) error {
				if err == nil && !e.IsDir() && filepath.Ext(path) != ".json" {
					t.Errorf("%s was made", path)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A link in the place of one of the files leads nowhere.
func TestLinksInTheQueue(t *testing.T) {
	for _, name := range []string{arrivalsFile, queueFile} {
		o := newOffice(t)
		outside := filepath.Join(t.TempDir(), "x")
		if err := errors.Join(os.WriteFile(outside, []byte("{}\n"), 0o600), os.Symlink(outside, filepath.Join(o.box.dir, name))); err != nil {
			t.Fatal(err)
		}
		_ = o.box.Add(Item{}, o.Shorten)
		o.restart()
		_, _ = o.d.step(t.Context())
		if text, err := os.ReadFile(outside); err != nil || string(text) != "{}\n" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestOpenMissing(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none/mail")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}
