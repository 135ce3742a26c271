package main

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// calmTick is over which it is looked how busy the processors are, calmTicks how often at the
	// most at one place, and patience how often in the whole run: a machine with other work is
	// never calm.
	calmTick  = 250 * time.Millisecond
	calmTicks = 40
	patience  = 160
	// calmShare is the share of their time that the processors may be busy.
	calmShare = 0.05
)

// calm waits until the kernel is done with what was measured before: it writes files out, and
// takes a namespace with 100,000 routes or members of a set down in the background, which
// takes a processor for seconds.
func (b *bench) calm() {
	unix.Sync()
	busy, all := processorTime()
	for range calmTicks {
		if b.waited == patience {
			return
		}
		b.waited++
		time.Sleep(calmTick)
		busyNow, allNow := processorTime()
		if float64(busyNow-busy) <= calmShare*float64(allNow-all) {
			return
		}
		busy, all = busyNow, allNow
	}
}

// processorTime returns for how many clock ticks the processors were busy, and all there were:
// proc_stat(5). Waiting for a disk is not busy.
func processorTime() (busy, all uint64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	for i, word := range bytes.Fields(line) {
		n, err := strconv.ParseUint(string(word), 10, 64)
		if err != nil || i > 8 { // "cpu"; guests' time is user's already
			continue
		}
		all += n
		if i != 4 && i != 5 { // idle, iowait
			busy += n
		}
	}
	return busy, all
}
