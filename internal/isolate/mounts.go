package isolate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// aside is where private files lie, on the /run of the test.
const aside = "/run/isolate"

// prepare makes the new namespaces usable: a /run of its own, since lock files there are for
// one network only; a copy of /etc, which belongs to the user of the test and may be written
// to; a /var/lib of its own with the host's folders in it; empty hidden folders; and a loopback interface
// that is up.
func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if !Root() {
		if err := ownRoot(); err != nil {
			return fmt.Errorf("making a root folder: %w", err)
		}
	}
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	if err := errors.Join(copyTree("/etc", aside+"/etc"), bind(aside+"/etc", "/etc")); err != nil {
		return fmt.Errorf("copying /etc: %w", err)
	}
	if err := forget(); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(aside+"/lib", 0o755), mirror("/var/lib", aside+"/lib"),
		bind(aside+"/lib", "/var/lib")); err != nil {
		return fmt.Errorf("replacing /var/lib: %w", err)
	}
	for _, dir := range hidden {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if err := unix.Mount("empty", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	return LoopbackUp()
}

// hidden are folders of the host that programs under test would read: the home, the state of others, and
// where DHCP clients keep leases.
var hidden = []string{
	"/var/ossec", "/var/lib/ossec-ar",
	"/var/lib/dhcp", "/var/lib/dhclient", "/var/lib/dhcpcd", "/var/lib/NetworkManager",
}

// forget takes out of the copy of /etc what the host has of an installation, OSSEC's or the suite's, and its
// name servers, which would be on the whitelist.
func forget() error {
	for _, pattern := range []string{
		"/etc/ossec-*", "/etc/cron.d/ossec-*", "/etc/logrotate.d/ossec-*", "/etc/logrotate.d/wazuh-*",
		"/etc/systemd/system/ossec-*", "/etc/systemd/system/*.wants/ossec-*", "/etc/resolv.conf",
	} {
		found, _ := filepath.Glob(pattern) // the pattern is well-formed
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return os.WriteFile("/etc/resolv.conf", nil, 0o644)
}

// ownRoot gives a process in a user namespace a root folder that is its own, for the host's
// belongs to nobody there. The host's folders are in it, and temporary files.
func ownRoot() error {
	const root = "/run"
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := unix.Mount("root", root, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	const old = "/old-root"
	err = errors.Join(mirror("/", root), os.Mkdir(root+old, 0o755), os.Mkdir(root+"/temporary", 0o755))
	if err != nil {
		return err
	}
	if err := unix.PivotRoot(root, root+old); err != nil {
		return err
	}
	return errors.Join(os.Chdir(here), unix.Unmount(old, unix.MNT_DETACH), os.Remove(old),
		os.Setenv("TMPDIR", "/temporary"))
}

// mirror puts the folders and links of one folder into another, except that other one itself. They are the
// host's; the folder that they are in is the test's own.
func mirror(dir, into string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		from, to := filepath.Join(dir, e.Name()), filepath.Join(into, e.Name())
		if e.Type() == fs.ModeSymlink {
			link, lerr := os.Readlink(from)
			err = errors.Join(err, lerr, os.Symlink(link, to))
		} else if e.IsDir() {
			err = errors.Join(err, os.Mkdir(to, 0o755))
			if from != into {
				err = errors.Join(err, bind(from, to))
			}
		}
	}
	return err
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", from, to, err)
	}
	return nil
}

// Overlay lets a test write to a folder of the host's, which keeps what it has. In a user
// namespace the folder stays as it is: nothing can be written there.
func Overlay(dir string) error {
	if !Root() {
		return nil
	}
	upper, work := aside+"/upper"+dir, aside+"/work"+dir
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	return unix.Mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work))
}

// LoopbackUp sets the loopback interface of the calling thread's network up.
func LoopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("setting up lo: %w", err)
	}
	return nil
}

// copyTree copies what this user can read.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		target := to + path[len(from):]
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case entry.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}
