package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// firstTimed is the number of the first address that is timed; those below stand already.
const firstTimed = 150_000

// measure times add and delete beside the floor, in turns, so that a busy moment of the
// machine hits both.
func (c benchCase) measure(standing, runs int) ([]result, error) {
	if err := c.prepare(standing); err != nil {
		return nil, err
	}
	adds := result{Case: c.name, Action: "add", Standing: standing, Goal: c.goal}
	deletes := result{Case: c.name, Action: "delete", Standing: standing, Goal: c.goal}
	if err := c.turns(&adds, runs, c.floorAdd, "add"); err != nil {
		return nil, err
	}
	if err := c.turns(&deletes, runs, c.floorDelete, "delete"); err != nil {
		return nil, err
	}
	return []result{adds, deletes}, nil
}

func (c benchCase) turns(r *result, runs int, floor func(string) []string, action string) error {
	var floors, ours, peers []time.Duration
	for n := range runs {
		addr := address(firstTimed + n)
		took, _, err := timed(floor(addr))
		if err != nil {
			return err
		}
		floors = append(floors, took)
		took, rss, err := timed(c.call(action, addr))
		if err != nil {
			return err
		}
		ours = append(ours, took)
		r.RSSMiB = max(r.RSSMiB, rss)
		if peer := c.peer(); peer != "" && n < 5 { // they are slow
			took, _, err := timed([]string{peer, action, "-", address(firstTimed + runs + n), "1304756247.60385", "5712"})
			if err != nil {
				return err
			}
			peers = append(peers, took)
		}
	}
	r.Floor = strings.Join(floor("")[:min(3, len(floor("")))], " ")
	if c.program == "host-deny" {
		r.Floor = "cp of the file"
	}
	r.FloorMS, r.OursMS = median(floors), median(ours)
	r.Ratio = r.OursMS / r.FloorMS
	if len(peers) > 0 {
		r.PeerMS = median(peers)
	}
	return nil
}

// command is run as a daemon would: an almost empty environment, no terminal, in /.
func command(args []string) *exec.Cmd {
	path := args[0]
	if found, err := exec.LookPath(path); err == nil {
		path = found
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	return cmd
}

// timed returns how long a command took, and its largest resident size in MiB.
func timed(args []string) (time.Duration, float64, error) {
	cmd := command(args)
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return took, 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took, float64(usage.Maxrss) / 1024, nil
}

func execute(args []string, stdin string) error {
	var stderr bytes.Buffer
	cmd := command(args)
	cmd.Stderr = &stderr
	cmd.Stdin = strings.NewReader(stdin)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// median returns the median in milliseconds.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	return d[len(d)/2].Seconds() * 1000
}

// stormResult is what came of many responses at once.
type stormResult struct {
	Case    string  `json:"case"`
	AtOnce  int     `json:"at_once"`
	Seconds float64 `json:"seconds"`
	Failed  int     `json:"failed"`
	Lost    int     `json:"lost"`
}

// storm starts n adds at once and counts those that failed, and those that are not in
// force afterwards.
func (c benchCase) storm(n int) (stormResult, error) {
	r := stormResult{Case: c.name, AtOnce: n}
	if err := c.prepare(0); err != nil {
		return r, err
	}
	commands := make([]*exec.Cmd, n)
	start := time.Now()
	for i := range commands {
		commands[i] = command(c.call("add", address(firstTimed+i)))
		if err := commands[i].Start(); err != nil {
			return r, err
		}
	}
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			r.Failed++
		}
	}
	r.Seconds = time.Since(start).Seconds()
	out, err := command([]string{c.path(c.program), "list"}).Output()
	if err != nil {
		return r, err
	}
	r.Lost = n + 1 - strings.Count(string(out), " blocked ")
	return r, nil
}
