package isolate

import (
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestIsolated: the network and what is written to are the test's own.
func TestIsolated(t *testing.T) {
	files := []string{"/etc/of-the-test", "/var/lib/of-the-test"}
	if !Test(t) {
		for _, path := range files {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("the host has %s of the test", path)
			}
		}
		return
	}
	for _, dir := range hidden {
		if found, _ := os.ReadDir(dir); len(found) > 0 { // one that is not there is as good as empty
			t.Errorf("%s has %v", dir, found)
		}
	}
	if text, err := os.ReadFile("/etc/resolv.conf"); err != nil || len(text) > 0 {
		t.Errorf("name servers: %q, %v", text, err)
	}
	for _, path := range files {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat("/proc/net/dev"); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("%v, %v: want what is in /proc/net to be root's", info, err)
	}
	if found, err := net.Interfaces(); err != nil || len(found) != 1 || found[0].Flags&net.FlagUp == 0 {
		t.Errorf("interfaces %v, %v: want one that is up", found, err)
	}
}

// TestReason: what a script did before it was skipped is no reason.
func TestReason(t *testing.T) {
	const out = "=== RUN   TestScripts\n        cmd.go:380: not root\n" +
		"        testscript.go:609: WORK=$WORK\n            > cat\n"
	if got := reason([]byte(out)); got != "not root" {
		t.Errorf("got %q", got)
	}
}

// TestPrograms: a program is replaced, taken away and put back.
func TestPrograms(t *testing.T) {
	if !Test(t) {
		return
	}
	const name = "env" // anywhere, and on all systems
	says := func(want string) {
		t.Helper()
		out, err := exec.Command(name, "echo", "real").CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%q, %v; want %q", out, err, want)
		}
	}
	t.Setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
	says("real\n")
	if err := Replace(name, []byte("#!/bin/sh\necho fake\n")); err != nil {
		t.Fatal(err)
	}
	says("fake\n")
	if err := Remove(name); err != nil {
		t.Fatal(err)
	}
	if path, err := exec.LookPath(name); err == nil {
		t.Errorf("still at %s", path)
	}
	if err := Restore(name); err != nil {
		t.Fatal(err)
	}
	says("real\n")
}
