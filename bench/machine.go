package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine says on what the numbers were measured.
func machine(folder string) []string {
	var name unix.Utsname
	kernel := "unknown kernel"
	if unix.Uname(&name) == nil {
		kernel = "Linux " + unix.ByteSliceToString(name.Release[:])
	}
	processor := "processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`).FindSubmatch(text); m != nil {
			processor = string(m[1])
		}
	}
	tools := []string{}
	for _, command := range []string{"iptables --version", "ipset --version", "nft --version", "ip -V"} {
		words := strings.Fields(command)
		out, err := exec.Command(words[0], words[1:]...).Output()
		first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		if err != nil {
			first = []byte(words[0] + " is missing")
		}
		tools = append(tools, string(first))
	}
	return []string{
		fmt.Sprintf("%d x %s, %s, files on %s", runtime.NumCPU(), processor, kernel, fileSystem(folder)),
		strings.Join(tools, "; "),
	}
}

func fileSystem(folder string) string {
	var s unix.Statfs_t
	if unix.Statfs(folder, &s) != nil {
		return "an unknown file system"
	}
	names := map[int64]string{unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs",
		unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay"}
	if name, known := names[int64(s.Type)]; known {
		return name
	}
	return fmt.Sprintf("a file system of type %#x", s.Type)
}

// memoryUsed returns a function that returns by how many KiB less memory is available than at this
// moment, at the worst until then: proc_meminfo(5).
func memoryUsed() func() int64 {
	before := availableKiB()
	least := before
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				least = min(least, availableKiB())
			}
		}
	}()
	return func() int64 { close(done); <-ended; return before - least }
}

func availableKiB() (n int64) {
	text, _ := os.ReadFile("/proc/meminfo") // none available: 0
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	_, _ = fmt.Sscan(rest, &n)
	return n
}
