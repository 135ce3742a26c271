package state

import (
	"fmt"
	"os"
	"strings"
)

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
		return "", fmt.Errorf("%s does not hold one line", path)
	}
	return secret, nil
}
