package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ossec-ar/ossec-ar/internal/rehearsal"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// The daemons' account may write in Wazuh's etc and in etc/rules. So each of these folders is held
// open while it is worked in, what is no plain file is not read, and nothing is written through a
// link or under a name that could be guessed.

// maxFile bounds ossec.conf and each file of rules, in bytes.
const maxFile = 32 << 20

// open finds ossec.conf. It may be a link if nobody but root can have made it.
func (j *job) open() error {
	path := j.path("etc/ossec.conf")
	dir := filepath.Dir(path)
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&os.ModeSymlink != 0 {
		if state.CheckDir(dir) != nil {
			return fmt.Errorf("%s is a link, and others than root can write in %s: it is not followed", path, dir)
		}
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return err
	}
	j.conf = filepath.Base(path)
	j.etc, err = os.OpenRoot(filepath.Dir(path) + "/")
	return err
}

// folder opens a folder of the home. A link that leads out of the one around it is refused.
func (j *job) folder(name string) (*os.Root, error) {
	root, err := os.OpenRoot(j.path(filepath.Dir(name)) + "/")
	if err != nil {
		return nil, err
	}
	defer root.Close()                               // nothing is lost
	return root.OpenRoot(filepath.Base(name) + "/.") // "/.": a pipe in its place would be waited for
}

func (j *job) inConf(err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(j.etc.Name(), j.conf), err)
	}
	return err
}

// write puts the new content in the place of the old, of which it keeps a copy, and the suite's own files
// beside it. What is included has to be there first, and to go last.
func (j *job) write(old, next []byte) error {
	same := bytes.Equal(old, next)
	if same && len(j.files) == 0 {
		return nil
	}
	for name, data := range j.files {
		if data == nil {
			j.did("removed", "remove", name)
		} else {
			j.did("added", "add", name)
		}
	}
	what := "set up"
	if j.Remove {
		what = "took the suite's block out of"
	}
	path := filepath.Join(j.etc.Name(), j.conf)
	if j.DryRun {
		if !same {
			j.say("would %s %s", strings.Replace(what, "took", "take", 1), path)
		}
		return nil
	}
	if err := j.putFiles(func(data []byte) bool { return data != nil }); err != nil {
		return err
	}
	if !same {
		backup, err := j.replace(old, next)
		if err != nil {
			return fmt.Errorf("changing the configuration: %w", err)
		}
		j.say("%s %s; as it was: %s", what, path, filepath.Join(j.etc.Name(), backup))
	}
	j.changed = true
	return j.putFiles(func(data []byte) bool { return data == nil })
}

// rehearse has the daemons say whether they would start. Where they would not before either, the suite's
// block is taken out all the same.
func (j *job) rehearse(old, next []byte) error {
	// What is below DestDir is another machine's.
	if j.DryRun || j.DestDir != "" || bytes.Equal(old, next) && len(j.files) == 0 {
		return nil
	}
	changed := maps.Clone(j.files)
	changed["etc/ossec.conf"] = next
	err := rehearsal.Run(context.Background(), j.Home, changed)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, rehearsal.ErrRefused):
		j.say("warning: the daemons could not test the configuration: %v", err)
		return nil
	case !errors.Is(rehearsal.Run(context.Background(), j.Home, nil), rehearsal.ErrRefused):
		return err
	case j.Remove:
		j.say("warning: %v; nor would it have before", err)
		return nil
	}
	return fmt.Errorf("%w; nor would it with the file as it is: correct that first", err)
}

func (j *job) putFiles(which func(data []byte) bool) error {
	for name, data := range j.files {
		if !which(data) {
			continue
		}
		if err := j.put(filepath.Dir(name), filepath.Base(name), data); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// replace puts next in the place of ossec.conf that holds old, all at once, with its mode, owner and
// attributes, and returns the name of the copy of the old one that it made beside it.
func (j *job) replace(old, next []byte) (backup string, err error) {
	file, err := state.OpenIn(j.etc, j.conf)
	if err != nil {
		return "", err
	}
	defer file.Close() // only read from
	same := state.ReplaceOptions{Prepare: state.Like(file)}
	mode := os.FileMode(file.Stat().Mode).Perm()
	backup = j.freeName(j.conf + ".ossec-ar-backup-" + j.Now.Format("20060102-150405"))
	if err := state.ReplaceIn(j.etc, backup, old, mode, same); err != nil {
		return "", err
	}
	same.Check = func() error {
		if now, err := state.ReadIn(j.etc, j.conf, maxFile); err != nil || !bytes.Equal(now, old) {
			return errors.Join(errors.New("it was changed by somebody else just now: try again"), err)
		}
		return nil
	}
	if err := state.ReplaceIn(j.etc, j.conf, next, mode, same); err != nil {
		return "", errors.Join(err, j.etc.Remove(backup))
	}
	return backup, nil
}

// freeName returns the first name beside ossec.conf that is free.
func (j *job) freeName(name string) string {
	free := name
	for n := 2; ; n++ {
		if _, err := j.etc.Lstat(free); err != nil {
			return free
		}
		free = fmt.Sprintf("%s-%d", name, n)
	}
}

// put writes a file of the suite's own into a folder of the home, readable for the daemons and for
// nobody else; nil removes it.
func (j *job) put(folder, name string, data []byte) error {
	root, err := j.folder(folder)
	if errors.Is(err, fs.ErrNotExist) && data != nil {
		if err = os.Mkdir(j.path(folder), 0o750); err == nil {
			root, err = j.folder(folder)
		}
	}
	if err != nil {
		return err
	}
	defer root.Close() // nothing is lost
	if data == nil {
		return root.Remove(name)
	}
	info, err := j.etc.Stat(".")
	if err != nil {
		return err
	}
	group := int(info.Sys().(*syscall.Stat_t).Gid)
	return state.ReplaceIn(root, name, data, 0o640, state.ReplaceOptions{
		Prepare: func(file *os.File) error { return file.Chown(-1, group) },
	})
}
