package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEquip: iptables is where Debian's PATH of a person does not lead; without ip nothing begins.
func TestEquip(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"ip", "iptables"} {
		if err := os.WriteFile(filepath.Join(dir, program), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	if err := equip(); err != nil {
		t.Error(err)
	}
	if path := filepath.SplitList(os.Getenv("PATH")); path[0] != dir || !slices.Contains(path, "/usr/sbin") {
		t.Errorf("PATH is %q", path)
	}
	if _, err := os.Stat("/sbin/ip"); err == nil {
		t.Skip("ip cannot be missing here")
	}
	t.Setenv("PATH", t.TempDir())
	if err := equip(); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("without ip: %v", err)
	}
}
