package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A runner is this program once more, small and in namespaces of its own. It starts the
// commands that it is told to and says what each took. Two things would be measured wrong
// from the bench itself: what a child holds of its parent's memory until it becomes another
// program counts in its largest resident size (getrusage(2)); and os/exec adds goroutines
// and pipes to the time.

// order is what a runner is told.
type order struct {
	Commands [][]string `json:"commands"`          // argv, with an absolute path
	AtOnce   bool       `json:"at_once,omitempty"` // and not one after the other
	Request  string     `json:"request,omitempty"` // to the one command, as Wazuh's daemon makes it
	Output   string     `json:"output,omitempty"`  // the file for standard output; none: /dev/null
	Errors   string     `json:"errors"`            // the file for standard error, which grows
}

// sample is what one process took, from the moment that it is started until its end is seen.
type sample struct {
	Took   time.Duration `json:"took"`
	RSSKiB int64         `json:"rss_kib"`
	Failed bool          `json:"failed,omitempty"`
}

// account answers an order.
type account struct {
	Samples []sample      `json:"samples"`
	Took    time.Duration `json:"took"`    // all of them together
	MemKiB  int64         `json:"mem_kib"` // by how much less memory was available meanwhile, at once only
	Error   string        `json:"error,omitempty"`
}

// serve follows orders until there are no more.
func serve(in io.Reader, out io.Writer) error {
	orders, accounts := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading an order: %w", err)
		}
		a, err := follow(o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := accounts.Encode(a); err != nil {
			return fmt.Errorf("giving an account: %w", err)
		}
	}
}

func follow(o order) (a account, err error) {
	files, err := open(o)
	if err != nil {
		return a, err
	}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	// An almost empty environment, no terminal, in /: as a daemon starts a response. Wazuh's programs look
	// for iptables in $PATH, and exit with 0 where there is none.
	attr := &syscall.ProcAttr{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Dir: "/"}
	for _, f := range files {
		attr.Files = append(attr.Files, f.Fd())
	}
	a.Samples = make([]sample, len(o.Commands))
	start := time.Now()
	switch {
	case o.Request != "":
		a.Samples[0], err = converse(o.Commands[0], o.Request, attr)
	case o.AtOnce:
		used := memoryUsed()
		err = together(o.Commands, attr, a.Samples)
		a.MemKiB = used()
	default:
		err = oneByOne(o.Commands, attr, a.Samples)
	}
	a.Took = time.Since(start)
	return a, err
}

// open opens what becomes the commands' standard input, output and error.
func open(o order) ([]*os.File, error) {
	output := o.Output
	if output == "" {
		output = os.DevNull
	}
	stdin, err1 := os.Open(os.DevNull)
	stdout, err2 := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	stderr, err3 := os.OpenFile(o.Errors, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return []*os.File{stdin, stdout, stderr}, errors.Join(err1, err2, err3)
}

func oneByOne(commands [][]string, attr *syscall.ProcAttr, samples []sample) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i, args := range commands {
		start := time.Now()
		pid, err := syscall.ForkExec(args[0], args, attr)
		if err != nil {
			return fmt.Errorf("starting %s: %w", args[0], err)
		}
		_, status, usage, err := wait(pid)
		samples[i] = sample{time.Since(start), usage.Maxrss, status != 0}
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", args[0], err)
		}
	}
	return nil
}

// together starts all commands without waiting for any, and sees each one's end when it
// comes.
func together(commands [][]string, attr *syscall.ProcAttr, samples []sample) error {
	type end struct {
		at     time.Time
		sample sample
	}
	starts, ends := make(map[int]int, len(commands)), make(map[int]end, len(commands))
	begun := make([]time.Time, len(commands))
	alive := make(chan struct{}, len(commands)) // one for each that was started
	var waited error
	var reaper sync.WaitGroup
	reaper.Go(func() {
		// A wait only when one more was started than ended, for else there is no child.
		for range alive {
			pid, status, usage, err := wait(-1)
			if err != nil {
				waited = err
				return
			}
			ends[pid] = end{time.Now(), sample{RSSKiB: usage.Maxrss, Failed: status != 0}}
		}
	})
	var started error
	for i, args := range commands {
		begun[i] = time.Now()
		pid, err := syscall.ForkExec(args[0], args, attr)
		if err != nil {
			started = fmt.Errorf("starting %s: %w", args[0], err)
			break
		}
		starts[pid] = i
		alive <- struct{}{}
	}
	close(alive)
	reaper.Wait()
	for pid, i := range starts {
		end, seen := ends[pid]
		if !seen { // the reaper met the child that could not become a program instead
			_, _, _, err := wait(pid)
			waited = errors.Join(waited, err)
			continue
		}
		samples[i] = end.sample
		samples[i].Took = end.at.Sub(begun[i])
	}
	return errors.Join(started, waited)
}

// wait waits for the end of a child, of any when pid is -1.
func wait(pid int) (int, unix.WaitStatus, unix.Rusage, error) {
	for {
		var status unix.WaitStatus
		var usage unix.Rusage
		ended, err := unix.Wait4(pid, &status, 0, &usage)
		if err != unix.EINTR {
			return ended, status, usage, err
		}
	}
}
