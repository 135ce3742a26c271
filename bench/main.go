// Command bench times the responses as whole processes, as a daemon starts them, beside
// the bare commands that do the least for the same end, and measures what they cost under
// a storm, in memory, for each packet, and for whole lists: in one run on one machine, each
// value beside its goal. It works in namespaces and a folder of its own, and needs root.
// The ratio to the floor is what counts, for machines differ.
//
// PEER_DIR may name a folder with scripts (firewall-drop.sh, host-deny.sh, route-null.sh)
// that take OSSEC's call, and with programs (firewall-drop and so on) that take Wazuh's: copies of
// them are timed beside.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roleVariable has the role of a process of this program: the bench in namespaces of its
// own, or a runner.
const roleVariable = "AR_BENCH_ROLE"

// folderVariable names the folder that it may use.
const folderVariable = "AR_BENCH_FOLDER"

// bench is what is asked for.
type bench struct {
	bin, peers, only string
	runs             int
	limit            time.Duration // for the runs of one action, over all numbers of standing blocks
	standing, sizes  []int         // of blocks, of storms
	whole            int           // addresses of a list; 0: no lists
	packetRate       bool
	asJSON           bool
	folder           string // where the hosts' homes are

	total  time.Duration // of the whole run; what comes after is left out
	end    time.Time     // of the time for one case
	waited int           // ticks in calm
}

func main() {
	if os.Getenv(roleVariable) == "runner" {
		exit(serve(os.Stdin, os.Stdout))
	}
	b, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil && os.Getenv(roleVariable) == "" {
		err = isolate()
	} else if err == nil {
		err = b.all(os.Stdout)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func parse(args []string) (*bench, error) {
	b := &bench{peers: os.Getenv("PEER_DIR"), folder: os.Getenv(folderVariable)}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	standing := flags.String("standing", "0,1000,10000,100000", "numbers of blocks that stand already")
	storms := flags.String("storms", "200,1000", "numbers of adds at once; empty for none")
	flags.StringVar(&b.bin, "bin", "build", "folder of the built programs")
	flags.IntVar(&b.runs, "runs", 100, "runs of each command, at the most")
	flags.DurationVar(&b.limit, "limit", 8*time.Second,
		fmt.Sprintf("after so long no more than %d runs", leastRuns))
	flags.DurationVar(&b.total, "for", 7*time.Minute/2, "after so long the rest is left out")
	flags.IntVar(&b.whole, "list", 100_000, "addresses to import, list and maintain; 0 for none")
	flags.BoolVar(&b.packetRate, "packets", true, "measure the packet rate")
	flags.BoolVar(&b.asJSON, "json", false, "print JSON")
	flags.StringVar(&b.only, "only", "", "only the cases whose name holds this, or flood")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var err1, err2, err3 error
	b.standing, err1 = numbers(*standing)
	b.sizes, err2 = numbers(*storms)
	if b.runs < 1 || b.whole < 0 || b.whole > firstTimed {
		err3 = fmt.Errorf("runs: at least 1; list: 0 to %d", firstTimed)
	}
	return b, errors.Join(err1, err2, err3)
}

func numbers(list string) ([]int, error) {
	var out []int
	for word := range strings.SplitSeq(list, ",") {
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || n > firstTimed {
			return nil, fmt.Errorf("%q is no number from 0 to %d", word, firstTimed)
		}
		out = append(out, n)
	}
	return out, nil
}

// isolate runs this program again in namespaces of its own, and removes what it leaves.
func isolate() (err error) {
	folder, err := os.MkdirTemp("", "ar-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"=bench", folderVariable+"="+folder)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// With the first process of a PID namespace all others end, deliverers of mail included.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	runtime.LockOSThread() // its end would be taken for that of the parent
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("in namespaces of its own (root is needed): %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
		if err != nil {
			err = errSaid
		}
		return err
	case s := <-signals:
		err := cmd.Process.Kill()
		<-ended
		return errors.Join(err, fmt.Errorf("ended by signal %q", s))
	}
}

// errSaid is for what the bench in its namespaces has said itself.
var errSaid = errors.New("not all could be measured")

// late reports whether the time for a case is over.
func (b *bench) late() bool { return time.Now().After(b.end) }

// all measures everything and prints it.
func (b *bench) all(out io.Writer) (err error) {
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil { // of its PID namespace
		return fmt.Errorf("mounting /proc: %w", err)
	}
	r := results{Machine: machine(b.folder)}
	chosen := slices.DeleteFunc(slices.Clone(cases), func(c benchCase) bool {
		return !strings.Contains(c.name, b.only)
	})
	end := time.Now().Add(b.total)
	var failed error
	for i, c := range chosen {
		b.end = time.Now().Add(time.Until(end) / time.Duration(len(chosen)-i+b.shareOfFloods()))
		if err := b.one(c, &r); err != nil { // the others are worth printing
			failed = errors.Join(failed, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	for _, count := range floods[:b.shareOfFloods()] {
		if time.Now().After(end) {
			r.Machine = append(r.Machine, fmt.Sprintf("no time was left for a flood of %d addresses", count))
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: a flood of %d addresses\n", count)
		row, err := b.flood(count)
		if failed = errors.Join(failed, err); err == nil {
			r.Storms = append(r.Storms, row)
		}
	}
	return errors.Join(failed, b.show(r, out))
}

// shareOfFloods returns how many floods there will be, each of which gets the time of a case.
func (b *bench) shareOfFloods() int {
	if len(b.sizes) == 0 || !strings.Contains("flood", b.only) {
		return 0
	}
	return len(floods)
}

// show prints what was found.
func (b *bench) show(r results, out io.Writer) error {
	if b.asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return r.print(out)
}

// one measures everything of one case, as far as there is time.
func (b *bench) one(c benchCase, r *results) (err error) {
	fmt.Fprintf(os.Stderr, "bench: %s\n", c.name)
	part := func(what string, measure func() error) {
		if b.late() {
			r.Machine = append(r.Machine, fmt.Sprintf("no time was left for %s of %s", what, c.name))
			return
		}
		b.calm()
		if failed := measure(); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", what, failed))
		}
	}
	if len(c.floors) > 0 {
		rows, err := b.measure(c)
		if err != nil {
			return err
		}
		r.Times = append(r.Times, rows...)
		b.calls(c, r, part)
	}
	if b.packetRate && c.filters {
		part("packets", func() error {
			rows, err := b.packets(c)
			r.Packets = append(r.Packets, rows...)
			return err
		})
	}
	return err
}

// calls measures what many calls, and calls about many addresses, take.
func (b *bench) calls(c benchCase, r *results, part func(what string, measure func() error)) {
	if c.waitingGoal > 0 {
		part("a daemon that waits", func() error {
			row, err := b.waiting(c)
			if err == nil {
				r.Waiting = append(r.Waiting, row)
			}
			return err
		})
	}
	for _, n := range b.sizes {
		part(fmt.Sprintf("%d at once", n), func() error {
			row, err := b.storm(c, n)
			if err == nil {
				r.Storms = append(r.Storms, row)
			}
			return err
		})
	}
	if b.whole > 0 {
		part("a whole list", func() error {
			row, err := b.lists(c, b.whole)
			if err == nil {
				r.Bulk = append(r.Bulk, row)
			}
			return err
		})
	}
}
