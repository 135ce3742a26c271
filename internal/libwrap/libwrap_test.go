package libwrap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestEffect(t *testing.T) {
	wrapped, err := os.ReadFile("/usr/sbin/tcpd") // a program that links libwrap
	if err != nil {
		if os.Getenv("AR_KERNEL_TESTS") == "require" {
			t.Fatal(err)
		}
		t.Skipf("%v (Debian: tcpd)", err)
	}
	root := t.TempDir()
	for _, folder := range []string{"usr/sbin", "usr/lib/openssh", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/sbin", filepath.Join(root, "sbin")); err != nil {
		t.Fatal(err)
	}
	check := func(want bool, text string) {
		t.Helper()
		got, hint := Effect(root)
		if got != want || !strings.Contains(hint, text) {
			t.Errorf("Effect: %v, %q; want %v, %q", got, hint, want, text)
		}
	}
	check(false, "no installed service links libwrap")
	writeFile(t, filepath.Join(root, "usr/sbin/tcpd"), string(wrapped), 0o755)
	writeFile(t, filepath.Join(root, "usr/sbin/sshd"), "#!/bin/sh\n", 0o755)
	check(false, "no installed service links libwrap")
	writeFile(t, filepath.Join(root, "etc/inetd.conf"),
		"# ftp stream tcp nowait root /usr/sbin/tcpd in.ftpd\n", 0o644)
	check(false, "no installed service links libwrap")
	writeFile(t, filepath.Join(root, "etc/inetd.conf"), "ftp stream tcp nowait root /usr/sbin/tcpd in.ftpd\n",
		0o644)
	check(true, "the services that inetd runs through tcpd (sshd does not)")
	writeFile(t, filepath.Join(root, "usr/sbin/vsftpd"), string(wrapped), 0o755)
	check(true, "vsftpd (sshd does not)")
	writeFile(t, filepath.Join(root, "usr/lib/openssh/sshd-session"), string(wrapped), 0o755)
	check(true, "read hosts.deny: sshd-session, the services")
}
