package state

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// errOneLine says that there is not one line in a file, but none or several.
var errOneLine = errors.New("does not hold one line")

// ReadSecret reads a file of one line, of up to most bytes, that is Trusted and that nobody but its
// owner can read. No error repeats what it holds.
func ReadSecret(path string, most int) (string, error) {
	data, err := ReadTrusted(path, most)
	var info os.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(data), "\r\n")
	switch {
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s can be read by others (mode %04o)", path, info.Mode().Perm())
	case secret == "" || strings.ContainsAny(secret, "\r\n\x00"):
		return "", fmt.Errorf("%s %w", path, errOneLine)
	}
	return secret, nil
}

// SecretHint returns advice on an error of ReadSecret.
func SecretHint(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "make the file for root alone, install -m 0600 /dev/null FILE, and write one line into it"
	case errors.Is(err, errOneLine), errors.Is(err, ErrLarge), errors.Is(err, ErrNotPlain), errors.Is(err, syscall.EISDIR):
		return "it is to be a file of one line"
	}
	return "make it readable by its owner alone: chown root FILE && chmod 0600 FILE"
}
