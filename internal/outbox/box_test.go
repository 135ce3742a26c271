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
			return errors.Join(os.MkdirAll(mail, 0o755), os.Symlink(victim, mail+"/waiting"), os.Symlink(victim, mail+"/refused"),
				os.Symlink(victim, mail+"/tmp"), os.Chmod(state, 0o777))
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
			files := []string{"1.json", "progress.json", "waiting/2.json", "refused/4.json"}
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

// A file that is not called as those of the queue is none.
func TestForeignFiles(t *testing.T) {
	o := newOffice(t)
	for _, name := range []string{"\x1b]0;gotcha\x07.json", "x.json", "1"} {
		if err := os.WriteFile(filepath.Join(o.box.dir, dirWaiting, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if rows := o.rows(); len(rows) != 0 {
		t.Errorf("%+v", rows)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none/mail")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err = %v", err)
	}
}

// What is written over a file is all that it then holds, be it shorter or longer.
func TestRewriteWithoutRoom(t *testing.T) {
	o := newOffice(t)
	item := Item{Program: "short"}
	item.setID()
	for _, program := range []string{strings.Repeat("long", 3000), "short"} {
		if err := errors.Join(o.box.write(dirWaiting, item.ID, &item), os.RemoveAll(filepath.Join(o.box.dir, dirTmp))); err != nil {
			t.Fatal(err)
		}
		item.Program = program
		if err := o.box.rewrite(&item); err != nil {
			t.Fatal(err)
		}
		if got, err := o.box.read(dirWaiting, item.ID); err != nil || got.Program != program {
			t.Errorf("%.20q, %v", got.Program, err)
		}
		if err := os.Mkdir(filepath.Join(o.box.dir, dirTmp), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
