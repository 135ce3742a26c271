// Command bench measures response-stats against the goals that it has, on a generated
// log in the page cache, in one run: everything within eight times what `wc -l` takes;
// today's part within 20 ms; memory below 64 MiB.
//
//	go run ./internal/stats/bench -bin build/response-stats
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	bin := flag.String("bin", "build/response-stats", "the program")
	dir := flag.String("dir", "", "keep the log here instead of in a folder that is removed")
	mib := flag.Int64("mib", 300, "size of the log")
	days := flag.Int("days", 365, "days that it covers")
	addresses := flag.Int("addresses", 150_000, "different addresses in it")
	wazuh := flag.Float64("wazuh", 0.005, "share of requests in Wazuh's dialect")
	runs := flag.Int("runs", 7, "passes, of which the median counts")
	flag.Parse()
	if err := bench(*bin, *dir, *runs, shape{*mib << 20, *days, time.Now(), *addresses, *wazuh}); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// contender is a command that is measured.
type contender struct {
	name  string
	args  []string
	times []time.Duration
	rss   int64 // the most of any run, in KiB
}

func bench(bin, dir string, runs int, s shape) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bench-stats-*"); err != nil {
			return err
		}
		defer os.RemoveAll(dir) // what is left is in the folder for such things
	}
	log := filepath.Join(dir, "active-responses.log")
	if err := generate(log, s); err != nil {
		return fmt.Errorf("generating the log: %w", err)
	}
	size, lines, err := measure(log)
	if err != nil {
		return err
	}
	fmt.Printf("%d MiB, %d lines, %d days, up to %d addresses\n\n", size>>20, lines, s.days, s.addresses)
	all := []*contender{
		{name: "wc -l", args: []string{"wc", "-l", log}},
		{name: "grep | awk | sort | uniq -c | sort -nr", args: []string{"sh", "-c",
			`grep Blocked "$0" | awk '{print $10}' | sort | uniq -c | sort -nr`, log}},
		{name: "response-stats --all", args: []string{bin, "--log", log, "--all"}},
		{name: "response-stats --all --json", args: []string{bin, "--log", log, "--all", "--json"}},
		{name: "response-stats --date today", args: []string{bin, "--log", log, "--date", "today"}},
		{name: "response-stats --yesterday", args: []string{bin, "--log", log, "--yesterday"}},
		{name: "response-stats --version, to start", args: []string{bin, "--version"}},
	}
	for pass := range runs {
		for _, c := range all {
			if pass > 2 && c.args[0] == "sh" { // it takes seconds, and does not get faster
				continue
			}
			if err := c.run(); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return show(all)
}

// measure reads the log into the page cache. It keeps none of it: what a child has in
// memory before it becomes another program counts as that one's.
func measure(path string) (size int64, lines int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close() // only read from
	buf := make([]byte, 1<<20)
	for {
		n, err := file.Read(buf)
		size += int64(n)
		lines += bytes.Count(buf[:n], []byte("\n"))
		if errors.Is(err, io.EOF) {
			return size, lines, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

func (c *contender) run() error {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "OSSEC_HOME=/nonexistent")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begin := time.Now()
	err := cmd.Run()
	c.times = append(c.times, time.Since(begin))
	if err != nil {
		return fmt.Errorf("%w: %s", err, stderr.String())
	}
	c.rss = max(c.rss, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	return nil
}

func (c *contender) median() time.Duration {
	sorted := slices.Sorted(slices.Values(c.times))
	return sorted[len(sorted)/2]
}

func show(all []*contender) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "command\tmedian ms\tleast ms\tMiB\t")
	for _, c := range all {
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%d\t\n", c.name, ms(c.median()), ms(slices.Min(c.times)), c.rss>>10)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	wc, everything, today := all[0], all[2], all[4]
	goal := func(what string, got, want float64, met bool) {
		verdict := "missed"
		if met {
			verdict = "met"
		}
		fmt.Printf("%-58s %8.1f  (goal %g) %s\n", what, got, want, verdict)
	}
	fmt.Println()
	ratio := float64(everything.median()) / float64(wc.median())
	goal("everything, in times of wc -l, at most", ratio, 8, ratio <= 8)
	ms := float64(today.median().Microseconds()) / 1000
	goal("today, in ms, at most", ms, 20, ms <= 20)
	goal("memory, in MiB, at most", float64(everything.rss)/1024, 64, everything.rss <= 64<<10)
	return nil
}
