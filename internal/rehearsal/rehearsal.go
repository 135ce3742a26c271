// Package rehearsal asks the daemons of a home whether they would start with a configuration, by the
// test of their own (-t). ossec-analysisd and wazuh-analysisd write etc/shared/ar.conf, ossec.log and
// compiled lists while they test, so they do it in a copy of what they read. It starts no daemon and
// changes nothing in the home.
package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// ErrRefused says that a daemon would not start; the error has its words.
var ErrRefused = errors.New("the daemon would not start")

const (
	maxBytes = 256 << 20   // that are copied
	maxFiles = 20_000      // files and folders that are copied
	maxDepth = 4           // folders in one another that are copied
	patience = time.Minute // of a daemon, which needs about two seconds on a slow host

	stages  = ".ossec-ar-rehearsal-" // what the names of copies in the home begin with
	longest = 10 * time.Minute       // that a copy is in use: more than all daemons together may take
)

// daemons are those that read what the suite sets up. What is not there is not asked. copied are the
// folders that they read, from inside of a chroot, and made those that must be there.
var (
	daemons = []string{"analysisd", "agentd", "execd", "logcollector"}
	copied  = []string{"etc", "rules", "ruleset"}
	made    = []string{"bin", "etc/shared", "logs", "queue/sockets", "queue/fts", "stats", "tmp", "var/run"}
)

// Run asks the daemons of a home, with some files other than they are: by their names in the home, nil for
// one that is not there. It returns nil too when there is no daemon that could be asked. ErrRefused is the
// daemons' own answer, any other error says why they could not be asked.
func Run(ctx context.Context, home string, changed map[string][]byte) error {
	var there []string
	for _, name := range daemons {
		for _, prefix := range []string{"ossec-", "wazuh-"} {
			path := filepath.Join(home, "bin", prefix+name)
			if err := app.CheckTool(path); err == nil {
				there = append(there, path)
			} else if !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("asking %s: %w", prefix+name, err)
			}
		}
	}
	if len(there) == 0 {
		return nil
	}
	removeOld(home)
	stage, err := os.MkdirTemp(home, stages) // not in /tmp, which can be noexec
	if err != nil {
		return fmt.Errorf("trying the configuration out: %w", err)
	}
	if err = furnish(home, stage, there, changed); err != nil {
		err = fmt.Errorf("copying the configuration to try it out: %w", err)
	}
	for _, path := range there {
		if err == nil {
			err = ask(ctx, stage, filepath.Base(path))
		}
	}
	return errors.Join(err, os.RemoveAll(stage))
}

// removeOld removes the copies that killed runs left. What fails is tried again by the next run.
func removeOld(home string) {
	entries, _ := os.ReadDir(home)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), stages) && time.Since(info.ModTime()) > longest {
			_ = os.RemoveAll(filepath.Join(home, e.Name()))
		}
	}
}

// furnish makes the stage look like the home, but that nobody else than root can write in it: a daemon's
// test writes to etc/shared/ar.conf as root, and would follow a link.
func furnish(home, stage string, programs []string, changed map[string][]byte) error {
	c := copier{bytes: maxBytes, files: maxFiles}
	for _, name := range copied {
		if err := c.folder(filepath.Join(home, name), filepath.Join(stage, name)); err != nil {
			return err
		}
	}
	if err := os.Symlink(filepath.Join(home, "lib"), filepath.Join(stage, "lib")); err != nil { // Wazuh's
		return err
	}
	for _, name := range made {
		if err := os.MkdirAll(filepath.Join(stage, name), 0o755); err != nil {
			return err
		}
	}
	for _, path := range programs { // Wazuh's find their home by where they are
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(stage, "bin", filepath.Base(path)), data, 0o755)
		}
		if err != nil {
			return err
		}
	}
	for name, data := range changed {
		path := filepath.Join(stage, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		switch {
		case err != nil:
		case data == nil:
			err = os.RemoveAll(path)
		default:
			err = os.WriteFile(path, data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	info, err := os.Stat(filepath.Join(home, "etc"))
	if err != nil {
		return err
	}
	return errors.Join(os.Chown(stage, -1, int(info.Sys().(*syscall.Stat_t).Gid)), os.Chmod(stage, 0o750))
}

// copier copies plain files. Others can write in some of these folders: links are not followed, and what is
// something else or too deep is left out. etc/shared has agents' files.
type copier struct {
	bytes int64 // that may be copied
	files int
}

// errMuch says that the home has more than daemons read.
var errMuch = fmt.Errorf("there are more than %d files or %d MiB", maxFiles, maxBytes>>20)

func (c *copier) folder(from, to string) error {
	root, err := os.OpenRoot(from + "/")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close() // only read from
	return c.root(root, to, maxDepth)
}

func (c *copier) root(root *os.Root, to string, depth int) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close() // only read from
	files, err := dir.ReadDir(c.files + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if c.files -= len(files); c.files < 0 {
		return errMuch
	}
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	if err := errors.Join(os.Mkdir(to, 0o700), readable(to, stat.Mode, stat.Uid, stat.Gid)); err != nil {
		return err
	}
	for _, file := range files {
		target := filepath.Join(to, file.Name())
		switch {
		case file.IsDir() && depth > 1 && file.Name() != "shared":
			below, err := root.OpenRoot(file.Name() + "/.") // "/.": a pipe in its place would be waited for
			if err != nil {
				return err
			}
			err = c.root(below, target, depth-1)
			if err := errors.Join(err, below.Close()); err != nil {
				return err
			}
		case file.Type().IsRegular():
			if err := c.file(root, file.Name(), target); err != nil {
				return err
			}
		}
	}
	return nil
}

// readable lets those read what was copied who can read the original: its owner, when it is not root, as one
// of its group, which the daemons are in.
func readable(path string, mode, uid, gid uint32) error {
	if mode &= 0o755; uid != 0 {
		mode |= mode >> 3 & 0o050
	}
	return errors.Join(os.Chown(path, -1, int(gid)), os.Chmod(path, os.FileMode(mode)))
}

// aKey stands for the keys of agents, which are secret: agentd wants one before it tests anything.
const aKey = "001 rehearsal any 0000000000000000000000000000000000000000000000000000000000000000\n"

// secret reports whether a file is for no daemon's test: authd's password and the keys of certificates.
func secret(name string) bool { return name == "authd.pass" || filepath.Ext(name) == ".key" }

func (c *copier) file(root *os.Root, name, target string) error {
	file, err := state.OpenIn(root, name)
	if err != nil {
		return nil // it has gone, or is something else now
	}
	defer file.Close()
	if secret(name) {
		return nil
	}
	stat := file.Stat()
	if c.bytes -= stat.Size; c.bytes < 0 {
		return errMuch
	}
	data, err := io.ReadAll(io.LimitReader(file, stat.Size))
	if err != nil {
		return err
	}
	if name == "client.keys" && len(data) > 0 {
		data = []byte(aKey)
	}
	return errors.Join(os.WriteFile(target, data, 0o600), readable(target, stat.Mode, stat.Uid, stat.Gid))
}

// stamps are what the daemons' lines begin with.
var stamps = regexp.MustCompile(`(^|\s)\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)

// ask has a daemon test the configuration on the stage. OSSEC's know their home from when they were built,
// and only some take another one.
func ask(ctx context.Context, stage, name string) error {
	args := []string{"-t", "-c", filepath.Join(stage, "etc/ossec.conf")}
	if name == "ossec-analysisd" || name == "ossec-agentd" {
		args = append(args, "-D", stage)
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	_, err := exec.Command(ctx, filepath.Join(stage, "bin", name), "", args...)
	switch {
	case err == nil:
		return nil
	case exec.Status(err) <= 0 || strings.Contains(err.Error(), "invalid option"):
		return fmt.Errorf("asking %s to test the configuration: %s", name, printable.Error(err))
	}
	var failed *exec.Error
	errors.As(err, &failed)
	said := slices.Compact(stamps.Split(strings.ReplaceAll(failed.Stderr, stage, ""), -1))
	return fmt.Errorf("%w: %s", ErrRefused, printable.Line(strings.TrimSpace(strings.Join(said, " "))))
}
