package isolate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folders are where the suite looks for the system's programs.
var folders = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"}

// Replace puts content in the place of the system's program called name. Other names of the
// same file stay what they are.
func Replace(name string, content []byte) error {
	if err := Remove(name); err != nil {
		return err
	}
	links, err := linked(folders[0])
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(links, name), content, 0o755)
}

// Remove takes the system's program called name away, whether it is there or not.
func Remove(name string) error {
	for _, dir := range folders {
		if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) || isLink(dir) {
			continue
		}
		links, err := linked(dir)
		if err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(links, name)); err != nil {
			return err
		}
	}
	return nil
}

// Restore undoes Replace and Remove.
func Restore(name string) error {
	if err := Remove(name); err != nil {
		return err
	}
	for _, dir := range folders {
		if err := link(dir, name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func isLink(dir string) bool {
	_, err := os.Readlink(dir)
	return err == nil
}

// linked puts a folder of links to what is in dir in the place of dir, once, and returns where
// to change that.
func linked(dir string) (links string, err error) {
	former, links := aside+"/former"+dir, aside+"/links"+dir
	if _, err := os.Stat(links); err == nil {
		return links, nil
	}
	if err := errors.Join(os.MkdirAll(former, 0o755), os.MkdirAll(links, 0o755),
		bind(dir, former)); err != nil {
		return "", fmt.Errorf("replacing %s: %w", dir, err)
	}
	entries, err := os.ReadDir(former)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := link(dir, e.Name()); err != nil {
			return "", err
		}
	}
	return links, bind(links, dir)
}

// link makes the link to what was called name in a folder that is linked.
func link(dir, name string) error {
	former := filepath.Join(aside+"/former"+dir, name)
	target, err := os.Readlink(former)
	if errors.Is(err, unix.EINVAL) { // no link
		target, err = former, nil
	}
	if err != nil {
		return err
	}
	return os.Symlink(target, filepath.Join(aside+"/links"+dir, name))
}
