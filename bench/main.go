// Command bench times the responses as whole processes, as a daemon starts them, beside
// the bare commands that do the least for the same end, in one run on one machine. It
// works in namespaces and a folder of its own, and needs root. Times are medians in
// milliseconds; the ratio to the floor is what counts, for machines differ.
//
// PEER_DIR may name a folder with scripts (firewall-drop.sh, host-deny.sh, route-null.sh)
// that take OSSEC's call: they are timed beside.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
)

// inside marks the process that has namespaces of its own.
const inside = "AR_BENCH_INSIDE"

type settings struct {
	bin      string
	runs     int
	standing []int
	storms   []int
	asJSON   bool
	only     string
}

func main() {
	var s settings
	standing := flag.String("standing", "0,1000,10000", "numbers of blocks that stand already")
	storms := flag.String("storms", "200", "numbers of responses at once; empty for none")
	flag.StringVar(&s.bin, "bin", "build", "folder of the built programs")
	flag.IntVar(&s.runs, "runs", 31, "runs of each command")
	flag.BoolVar(&s.asJSON, "json", false, "print JSON")
	flag.StringVar(&s.only, "only", "", "only the cases whose name holds this")
	flag.Parse()
	var err error
	if s.standing, err = numbers(*standing); err == nil {
		s.storms, err = numbers(*storms)
	}
	if err == nil && os.Getenv(inside) == "" {
		err = isolate()
	} else if err == nil {
		err = bench(s, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func numbers(list string) ([]int, error) {
	var out []int
	for word := range strings.SplitSeq(list, ",") {
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || n > 200_000 {
			return nil, fmt.Errorf("%q is no number of blocks", word)
		}
		out = append(out, n)
	}
	return out, nil
}

// isolate runs this program again in namespaces of its own.
func isolate() error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("in namespaces of its own (root is needed): %w", err)
	}
	return nil
}

// result is one row of the table.
type result struct {
	Case     string  `json:"case"`
	Action   string  `json:"action"`
	Standing int     `json:"standing"`
	Floor    string  `json:"floor"`
	FloorMS  float64 `json:"floor_ms"`
	OursMS   float64 `json:"ours_ms"`
	PeerMS   float64 `json:"peer_ms,omitempty"`
	Ratio    float64 `json:"ratio"`
	Goal     float64 `json:"goal"`
	RSSMiB   float64 `json:"rss_mib"`
}

func bench(s settings, out io.Writer) error {
	home, err := os.MkdirTemp("", "ar-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	if err := install(s.bin, home); err != nil {
		return err
	}
	var rows []result
	var storms []stormResult
	for _, c := range cases(home) {
		if !strings.Contains(c.name, s.only) {
			continue
		}
		for _, standing := range s.standing {
			got, err := c.measure(standing, s.runs)
			if err != nil {
				return fmt.Errorf("%s with %d standing: %w", c.name, standing, err)
			}
			rows = append(rows, got...)
		}
		for _, n := range s.storms {
			got, err := c.storm(n)
			if err != nil {
				return fmt.Errorf("%s, %d at once: %w", c.name, n, err)
			}
			storms = append(storms, got)
		}
	}
	if s.asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"times": rows, "storms": storms})
	}
	return errors.Join(printTimes(out, rows), printStorms(out, storms))
}

func printTimes(out io.Writer, rows []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\taction\tstanding\tfloor\tms\tours ms\tpeer ms\tratio\tgoal\tRSS MiB\t")
	for _, r := range rows {
		peer, miss := "-", ""
		if r.PeerMS > 0 {
			peer = fmt.Sprintf("%.1f", r.PeerMS)
		}
		if r.Ratio > r.Goal {
			miss = " missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.1f\t%.1f\t%s\t%.2f\t%.1f%s\t%.0f\t\n",
			r.Case, r.Action, r.Standing, r.Floor, r.FloorMS, r.OursMS, peer, r.Ratio, r.Goal, miss, r.RSSMiB)
	}
	return w.Flush()
}

func printStorms(out io.Writer, rows []stormResult) error {
	if len(rows) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\ncase\tat once\tall done s\teach ms\tfailed\tlost\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.1f\t%d\t%d\t\n", r.Case, r.AtOnce, r.Seconds, 1000*r.Seconds/float64(r.AtOnce), r.Failed, r.Lost)
	}
	return w.Flush()
}

// install lays out a home with the programs in it.
func install(bin, home string) error {
	to := filepath.Join(home, "active-response/bin")
	if err := errors.Join(os.MkdirAll(to, 0o755), os.Mkdir(filepath.Join(home, "etc"), 0o755)); err != nil {
		return err
	}
	programs, err := filepath.Glob(filepath.Join(bin, "*"))
	if err != nil || len(programs) == 0 {
		return errors.Join(err, fmt.Errorf("no programs in %s: run make build first", bin))
	}
	for _, p := range programs {
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(p)), data, 0o755); err != nil {
			return err
		}
	}
	return nil
}
