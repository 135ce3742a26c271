package hostsdeny

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestModeOwnerAndAttributesAreKept(t *testing.T) {
	e, path := newFile(t, plain)
	owner := os.Getuid()
	if owner == 0 {
		owner = 65534
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	attributes := map[string]string{
		"user.note": strings.Repeat("kept ", 200),
		// user::rw- user:1:r-- group::r-- mask::r-- other::---
		"system.posix_acl_access": "\x02\x00\x00\x00" +
			"\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x04\x00\x01\x00\x00\x00" +
			"\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x04\x00\xff\xff\xff\xff" +
			"\x20\x00\x00\x00\xff\xff\xff\xff",
	}
	if os.Getuid() == 0 {
		attributes["security.selinux"] = "system_u:object_r:etc_t:s0\x00"
	}
	for name, value := range attributes {
		if err := unix.Setxattr(path, name, []byte(value), 0); errors.Is(err, unix.ENOTSUP) {
			t.Logf("this file system takes no %s", name)
			delete(attributes, name)
		} else if err != nil {
			t.Fatalf("setting %s: %v", name, err)
		}
	}
	before := statFile(t, path)
	held, err := os.Open(path) // so that its inode number is not given out again
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	block(t, e, v4)
	if statFile(t, path).Ino != before.Ino {
		t.Error("the file was replaced where one line more was to be written")
	}
	unblock(t, e, v4)
	after := statFile(t, path)
	if after.Ino == before.Ino {
		t.Error("the file was not replaced")
	}
	if after.Mode != before.Mode || after.Uid != before.Uid || after.Gid != before.Gid {
		t.Errorf("mode %o owner %d:%d, was %o %d:%d",
			after.Mode, after.Uid, after.Gid, before.Mode, before.Uid, before.Gid)
	}
	for name, want := range attributes {
		value := make([]byte, 4096)
		n, err := unix.Getxattr(path, name, value)
		if err != nil || string(value[:n]) != want {
			t.Errorf("%s is %q, %v", name, value[:max(n, 0)], err)
		}
	}
}

func TestFolderDefaultACLIsNotTakenOver(t *testing.T) {
	e, path := newFile(t, plain)
	// user::rwx user:1:rwx group::r-x mask::rwx other::r-x
	acl := "\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x07\x00\x01\x00\x00\x00" +
		"\x04\x00\x05\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff" +
		"\x20\x00\x05\x00\xff\xff\xff\xff"
	if err := unix.Setxattr(filepath.Dir(path), "system.posix_acl_default", []byte(acl), 0); err != nil {
		t.Skipf("this file system takes no default ACL: %v", err)
	}
	block(t, e, v4)
	unblock(t, e, v4)
	_, err := unix.Getxattr(path, "system.posix_acl_access", make([]byte, 4096))
	if !errors.Is(err, unix.ENODATA) {
		t.Errorf("the file has an ACL that it did not have: %v", err)
	}
	if mode := statFile(t, path).Mode & 0o777; mode != 0o644 {
		t.Errorf("mode %o, want 644", mode)
	}
}

func TestLeftoversOfAKilledRunAreCleared(t *testing.T) {
	e, path := newFile(t, plain)
	writeFile(t, filepath.Join(filepath.Dir(path), ".hosts.deny.ossec-ar.tmp"), "half a fi", 0o600)
	block(t, e, v4)
	unblock(t, e, v4)
	wantFile(t, path, plain)
	wantAlone(t, path)
}
