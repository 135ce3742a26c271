package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// accountFiles are those that say who has an account: this machine's own are not shown to the demo.
var accountFiles = map[string]string{
	"passwd":  "root:x:0:0:root:/root:/bin/sh\nmallory:x:1000:1000::/home/mallory:/bin/sh\n",
	"shadow":  "root:*:20000::::::\nmallory:$y$j9T$demo$demo:20000:0:99999:7:::\n",
	"group":   "root:x:0:\nmallory:x:1000:\n",
	"gshadow": "root:*::\nmallory:!::\n",
}

// accounts gives this mount namespace an /etc of its own: the files of accounts are made here, and all
// else is a link to this machine's.
func accounts() error {
	const real, mine = "/run/etc", "/run/accounts"
	if err := errors.Join(os.Mkdir(real, 0o755), os.Mkdir(mine, 0o755),
		unix.Mount("/etc", real, "", unix.MS_BIND|unix.MS_REC, "")); err != nil {
		return err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return err
	}
	leftOut := []string{".pwd.lock"}
	for name, text := range accountFiles {
		leftOut = append(leftOut, name, name+"-", name+".lock")
		if err := os.WriteFile(filepath.Join(mine, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, e := range entries {
		if slices.Contains(leftOut, e.Name()) {
			continue
		}
		if err := os.Symlink(filepath.Join(real, e.Name()), filepath.Join(mine, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(os.Chmod(filepath.Join(mine, "passwd"), 0o644), os.Chmod(filepath.Join(mine, "group"), 0o644),
		unix.Mount(mine, "/etc", "", unix.MS_BIND, ""))
}
