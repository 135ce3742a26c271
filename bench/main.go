// Command bench times the responses as whole processes, as a daemon starts them, beside
// the bare commands that do the least for the same end, in one run on one machine. It
// works in a network namespace and a folder of its own and needs root. Times are
// medians in milliseconds; the ratio to the floor is what counts, for machines differ.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	bin := flag.String("bin", "build", "folder of the built programs")
	runs := flag.Int("runs", 41, "runs of each command")
	flag.Parse()
	if err := bench(*bin, *runs, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(bin string, runs int, out io.Writer) error {
	runtime.LockOSThread() // the namespace belongs to this thread, and children inherit it
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a network namespace (root is needed): %w", err)
	}
	home, err := os.MkdirTemp("", "ar-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	if err := install(bin, home); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "blocks\taction\tfloor\tms\t\tours\tms\tratio\tgoal\t\n")
	for _, c := range cases(home) {
		if err := c.run(w, runs); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return w.Flush()
}

// install lays out a home with the programs in it.
func install(bin, home string) error {
	to := filepath.Join(home, "active-response/bin")
	if err := os.MkdirAll(to, 0o755); err != nil {
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

// command makes the command line for the nth address.
type command func(n int) []string

// versus is one row: ours beside the floor.
type versus struct {
	name, action string
	goal         float64 // most that ours may take, as a multiple of the floor
	floor, ours  command
	prepare      []command // run for each n before the timed ones, as a delete needs an add
}

func address(n int) string { return fmt.Sprintf("198.18.%d.%d", n/250, n%250+1) }

func cases(home string) []versus {
	ours := func(program, action string) command {
		return func(n int) []string {
			return []string{filepath.Join(home, "active-response/bin", program), action, "-", address(n), "1304756247.60385", "5712"}
		}
	}
	words := func(before, after string) command {
		return func(n int) []string {
			return strings.Fields(before + " " + address(n) + " " + after)
		}
	}
	floorRule := words("iptables -w -I FLOOR -s", "-j DROP")
	return []versus{
		{"firewall-drop", "add", 3.5, floorRule, ours("firewall-drop", "add"), nil},
		{"firewall-drop", "delete", 3.5, words("iptables -w -D FLOOR -s", "-j DROP"), ours("firewall-drop", "delete"),
			[]command{floorRule, ours("firewall-drop", "add")}},
	}
}

// run times floor and ours in turns, so that a busy moment of the machine hits both.
func (v versus) run(w io.Writer, runs int) error {
	setup := [][]string{
		strings.Fields("ip link set lo up"),
		strings.Fields("iptables -w -F"), strings.Fields("iptables -w -X"),
		strings.Fields("iptables -w -N FLOOR"), strings.Fields("iptables -w -A INPUT -j FLOOR"),
		v.ours(0)[:0:0],
	}
	for _, args := range setup {
		if len(args) > 0 {
			if _, err := timed(args); err != nil {
				return err
			}
		}
	}
	add := slices.Clone(v.ours(runs + 1))
	add[1] = "add"
	if _, err := timed(add); err != nil { // makes chain, jump and lease file
		return err
	}
	var floor, ours []time.Duration
	for n := range runs {
		for _, p := range v.prepare {
			if _, err := timed(p(n)); err != nil {
				return err
			}
		}
		f, err := timed(v.floor(n))
		if err != nil {
			return err
		}
		o, err := timed(v.ours(n))
		if err != nil {
			return err
		}
		floor, ours = append(floor, f), append(ours, o)
	}
	f, o := median(floor), median(ours)
	fmt.Fprintf(w, "%d\t%s\t%s\t%.1f\t\t%s\t%.1f\t%.2f\t%.1f\t\n", 0, v.action,
		strings.Join(v.floor(0)[:3], " "), ms(f), v.name, ms(o), float64(o)/float64(f), v.goal)
	return nil
}

// timed runs a command as a daemon would: an almost empty environment, no terminal.
func timed(args []string) (time.Duration, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return took, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return took, nil
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
