// Package libwrap finds out whether anything on a host reads hosts.deny: the services that link
// libwrap, TCP wrappers. It looks into the files of programs and runs none of them.
package libwrap

import (
	"bufio"
	"bytes"
	"debug/elf"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Where services live, below the root. OpenSSH 9.8 and later read the files in
// sshd-session, a program of its own.
var (
	serviceFolders = []string{"usr/sbin", "sbin", "usr/local/sbin", "usr/libexec", "usr/local/libexec"}
	servicePlaces  = []string{
		"usr/lib/openssh/sshd-session", "usr/libexec/openssh/sshd-session", "usr/lib/ssh/sshd-session",
		"usr/lib/misc/sshd-session",
	}
	// The wrapper and its tools link the library without being services.
	wrapperTools = []string{"tcpd", "tcpdchk", "tcpdmatch", "safe_finger", "try-from"}
)

// Effect reports whether any service below root ("/" as a rule) reads the
// file, and in words which, or what to use instead. It looks for programs that
// link libwrap.so and for an inetd.conf that runs tcpd; a service with libwrap
// built in escapes it. It reads hundreds of files: not for the hot path.
func Effect(root string) (bool, string) {
	var readers []string
	for _, place := range candidates(root) {
		name := filepath.Base(place)
		if !slices.Contains(wrapperTools, name) && !slices.Contains(readers, name) && linksLibwrap(place) {
			readers = append(readers, name)
		}
	}
	if inetdRunsTCPD(filepath.Join(root, "etc/inetd.conf")) {
		readers = append(readers, "the services that inetd runs through tcpd")
	}
	if len(readers) == 0 {
		return false,
			"no installed service links libwrap, so entries in hosts.deny stop nobody here: use firewall-drop or route-null"
	}
	slices.Sort(readers)
	text := "only these services read hosts.deny: " + strings.Join(readers, ", ")
	if !slices.ContainsFunc(readers, func(name string) bool { return strings.HasPrefix(name, "sshd") }) {
		text += " (sshd does not)"
	}
	return true, text
}

// candidates returns the programs to look into; unreadable folders have none.
func candidates(root string) []string {
	var places, seen []string
	for _, folder := range serviceFolders {
		folder, err := filepath.EvalSymlinks(filepath.Join(root, folder)) // sbin is usr/sbin on most
		if err != nil || slices.Contains(seen, folder) {
			continue
		}
		seen = append(seen, folder)
		entries, _ := os.ReadDir(folder)
		for _, entry := range entries {
			places = append(places, filepath.Join(folder, entry.Name()))
		}
	}
	for _, place := range servicePlaces {
		places = append(places, filepath.Join(root, place))
	}
	return places
}

func linksLibwrap(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return false
	}
	file, err := elf.Open(path)
	if err != nil {
		return false // a script, as a rule
	}
	defer func() { _ = file.Close() }()
	libraries, err := file.ImportedLibraries()
	isLibwrap := func(name string) bool { return strings.HasPrefix(name, "libwrap.so") }
	return err == nil && slices.ContainsFunc(libraries, isLibwrap)
}

// inetdRunsTCPD looks for an active line that names tcpd.
func inetdRunsTCPD(path string) bool {
	file, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err != nil || info.Mode()&fs.ModeType != 0 {
		return false
	}
	lines := bufio.NewScanner(io.LimitReader(file, 1<<20))
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) > 0 && line[0] != '#' && bytes.Contains(line, []byte("/tcpd")) {
			return true
		}
	}
	return false
}
