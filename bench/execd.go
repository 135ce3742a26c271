package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// waitingCalls is how many adds, and as many deletes, a daemon that waits makes.
const waitingCalls = 100

// Wazuh's messages, in which a word stands for the action, the address and the program.
const (
	wazuhRequest = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"ACTION",` +
		`"parameters":{"extra_args":[],"alert":{"timestamp":"2026-11-23T03:27:57.123+0000","rule":{"level":10,` +
		`"description":"sshd: brute force trying to get access to the system.","id":"5763","firedtimes":1},` +
		`"agent":{"id":"001","name":"web"},"id":"1795422839.12345","full_log":"Failed password for root",` +
		`"data":{"srcip":"ADDR","dstuser":"root"}},"program":"active-response/bin/PROGRAM"}}` + "\n"
	wazuhReply = `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"continue",` +
		`"parameters":{}}` + "\n"
)

// waitingRow is how many calls a second a daemon makes that waits for each, as Wazuh's execd does:
// adds and deletes of ours, and of the peer's program.
type waitingRow struct {
	Case  string  `json:"case"`
	Calls int     `json:"calls"`
	Ours  float64 `json:"ours_per_second"`
	Peer  float64 `json:"peer_per_second,omitempty"`
	Ratio judged  `json:"ratio"` // ours over the peer's; 0: there is none
}

// waiting has a daemon call ours and the peer's program in turns.
func (b *bench) waiting(c benchCase) (row waitingRow, err error) {
	row = waitingRow{Case: c.name, Calls: 2 * waitingCalls}
	var ours, peers *host
	defer func() { closeAll(&err, ours, peers) }()
	if ours, err = newHost(b.folder, b.bin); err != nil {
		return row, err
	}
	if err := c.configure(ours); err != nil {
		return row, err
	}
	script := ""
	if path, found := b.peer(c.program); found {
		if peers, err = newHost(b.folder, b.bin); err != nil {
			return row, err
		}
		if script, err = peers.install(path); err != nil {
			return row, err
		}
		if err := errors.Join(c.fill(peers, 0), peers.do(c.peerPlace...)); err != nil {
			return row, err
		}
	}
	var mine, theirs time.Duration
	for _, action := range []string{"add", "delete"} {
		for n := range waitingCalls {
			took, err := ours.ask(ours.path(c.program), action, address(n))
			if err != nil {
				return row, err
			}
			mine += took
			if peers == nil {
				continue
			}
			if took, err = peers.ask(script, action, address(n)); err != nil {
				return row, fmt.Errorf("the peer's: %w", err)
			}
			theirs += took
		}
		if peers == nil || action == "delete" {
			continue
		}
		// A program that could do nothing may be fast, and exit with 0.
		if there, err := peers.standing(c.peerShows, waitingCalls); err != nil || len(there) < waitingCalls {
			return row, errors.Join(err, fmt.Errorf("the peer's blocked %d of %d", len(there), waitingCalls))
		}
	}
	row.Ours = float64(row.Calls) / mine.Seconds()
	if peers != nil {
		row.Peer = float64(row.Calls) / theirs.Seconds()
		row.Ratio = atLeast(row.Ours/row.Peer, c.waitingGoal)
	}
	return row, nil
}

// ask has a program carry out one request of Wazuh's.
func (h *host) ask(program, action, addr string) (time.Duration, error) {
	request := strings.NewReplacer("ACTION", action, "ADDR", addr, "PROGRAM", filepath.Base(program)).
		Replace(wazuhRequest)
	a, err := h.follow(order{Commands: [][]string{{program}}, Request: request})
	if err == nil && a.Samples[0].Failed {
		said, _ := os.ReadFile(h.file("errors"))
		err = fmt.Errorf("%s %s %s failed: %s", program, action, addr, lastOf(string(said), 500))
	}
	if err != nil {
		return 0, err
	}
	return a.Samples[0].Took, nil
}

// converse starts a program, writes the request to its standard input, answers the question that it
// prints, if it does, and waits for its end.
func converse(args []string, request string, attr *syscall.ProcAttr) (s sample, err error) {
	in, toIt, err := os.Pipe()
	if err != nil {
		return s, err
	}
	fromIt, out, err := os.Pipe()
	if err != nil {
		return s, errors.Join(err, in.Close(), toIt.Close())
	}
	defer toIt.Close()   // it has ended by then
	defer fromIt.Close() // as above
	start := time.Now()
	pid, err := syscall.ForkExec(args[0], args, &syscall.ProcAttr{
		Env: attr.Env, Dir: attr.Dir, Files: []uintptr{in.Fd(), out.Fd(), attr.Files[2]},
	})
	if err = errors.Join(err, in.Close(), out.Close()); err != nil {
		return s, fmt.Errorf("starting %s: %w", args[0], err)
	}
	_, err = toIt.WriteString(request)
	if line, _ := bufio.NewReader(fromIt).ReadString('\n'); err == nil && line != "" { // none: no question
		_, err = toIt.WriteString(wazuhReply)
	}
	_, status, usage, werr := wait(pid)
	return sample{time.Since(start), usage.Maxrss, status != 0}, errors.Join(err, werr)
}
