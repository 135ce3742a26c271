package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	burst  = 16 * perCall // packets: some 30 ms
	passes = 40           // of all links in turns; each part's best counts, for noise only makes it slower
)

var (
	noFilter = -1
	// packetBlocks are the numbers of blocks whose cost for a packet is measured.
	packetBlocks = []int{noFilter, 0, 1000, flatAt}
	inside       = netip.MustParseAddr("10.77.0.2")
	insideMAC    = [6]byte{2, 0, 0, 0, 0, 2}
)

// link is a pair of veth(4) from this namespace to a host's, packets to send through it, and
// the socket where they arrive. What is sent runs through the host's filter and into the
// socket on the same processor before the send returns, so that the time of a burst holds
// the cost of the filter.
type link struct {
	host            *host
	blocks          int
	out, in         int // sockets
	passed, dropped *volley
	room            *volley
	bestPassed      times
	bestDropped     times
}

// times are the best for each part of a burst.
type times [burst / perCall]time.Duration

func (t times) rate() float64 {
	var all time.Duration
	for _, d := range t {
		all += d
	}
	return burst / all.Seconds() / 1000
}

// packets measures how many packets a second come through the filter of a case.
func (b *bench) packets(c benchCase) (rows []packetRow, err error) {
	var done sync.WaitGroup
	done.Go(func() { rows, err = b.packetsOnOneProcessor(c) })
	done.Wait()
	return rows, err
}

// packetsOnOneProcessor is packets, on a thread that ends with the goroutine: what is started
// from one that is bound to a processor is bound to it too.
func (b *bench) packetsOnOneProcessor(c benchCase) (rows []packetRow, err error) {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(runtime.NumCPU() - 1)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return nil, fmt.Errorf("staying on one processor: %w", err)
	}
	var links []*link
	defer func() {
		for _, l := range links {
			err = errors.Join(err, unix.Close(l.out), unix.Close(l.in))
			closeAll(&err, l.host)
		}
	}()
	for i, blocks := range packetBlocks {
		if c.most > 0 && blocks > c.most {
			continue
		}
		l, err := b.connect(c, blocks, i)
		if err != nil {
			return nil, fmt.Errorf("with %d blocks: %w", blocks, err)
		}
		links = append(links, l)
	}
	for range passes {
		for _, l := range links {
			if err := l.pass(); err != nil {
				return nil, fmt.Errorf("with %d blocks: %w", l.blocks, err)
			}
		}
	}
	return packetRows(c.name, links), nil
}

// connect makes a host with a link to it and blocks in it.
func (b *bench) connect(c benchCase, blocks, number int) (l *link, err error) {
	h, err := newHost(b.folder, b.bin)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeAll(&err, h)
		}
	}()
	outer := fmt.Sprintf("out%d", number)
	out, err := exec.Command("ip", "link", "add", outer, "up", "type", "veth", "peer", "name", "in",
		"address", net.HardwareAddr(insideMAC[:]).String(),
		"netns", strconv.Itoa(h.runner.Process.Pid)).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("making a veth pair: %w: %s", err, bytes.TrimSpace(out))
	}
	// The default route is the way back that a strict rp_filter wants to see.
	if err := h.do("ip addr add "+inside.String()+"/24 dev in", "ip link set in up",
		"ip route add default dev in"); err != nil {
		return nil, err
	}
	l = &link{host: h, blocks: blocks, passed: volleyFrom("100.%d.%d.%d", 64, burst), room: room()}
	if blocks != noFilter {
		if err := errors.Join(c.configure(h), c.block(h, blocks)); err != nil {
			return nil, err
		}
	}
	if blocks > 0 {
		l.dropped = volleyFrom("198.%d.%d.%d", 18, blocks)
	}
	device, err := net.InterfaceByName(outer)
	if err != nil {
		return nil, err
	}
	if l.in, err = udpSocket(h.runner.Process.Pid); err != nil {
		return nil, err
	}
	l.out, err = packetSocket(device.Index)
	return l, err
}

// volleyFrom makes a burst of packets from so many addresses, evenly spread.
func volleyFrom(format string, second, count int) *volley {
	frames := make([][]byte, burst)
	for i := range frames {
		n := i % count
		if count > burst {
			n = i * (count / burst)
		}
		from := netip.MustParseAddr(fmt.Sprintf(format, second+n/65536, n/256%256, n%256))
		frames[i] = frame(from, inside, insideMAC)
	}
	return newVolley(frames)
}

// pass sends both bursts once.
func (l *link) pass() error {
	if err := l.fire(l.passed, burst, &l.bestPassed); err != nil || l.dropped == nil {
		return err
	}
	return l.fire(l.dropped, 0, &l.bestDropped)
}

// fire sends a burst in parts, and takes what came through after each, untimed: it must be
// as many as should.
func (l *link) fire(v *volley, through int, best *times) error {
	got := 0
	for i := range best {
		start := time.Now()
		if err := send(l.out, v.messages[i*perCall:(i+1)*perCall]); err != nil {
			return err
		}
		if took := time.Since(start); best[i] == 0 || took < best[i] {
			best[i] = took
		}
		n, err := drain(l.in, l.room.messages)
		if err != nil {
			return err
		}
		got += n
	}
	if got != through {
		return fmt.Errorf("of %d packets %d came through the filter and not %d", burst, got, through)
	}
	return nil
}

func room() *volley {
	frames := make([][]byte, 64)
	for i := range frames {
		frames[i] = make([]byte, frameSize)
	}
	return newVolley(frames)
}

func packetRows(name string, links []*link) (rows []packetRow) {
	var with0 float64
	for _, l := range links {
		if l.blocks == 0 {
			with0 = l.bestPassed.rate()
		}
	}
	for _, l := range links {
		goal := 0.0
		if l.blocks == flatAt {
			goal = leastRate
		}
		row := packetRow{Case: name, Blocks: l.blocks, Passed: l.bestPassed.rate()}
		row.PassedShare = atLeast(row.Passed/with0, goal)
		if l.dropped != nil {
			row.Dropped = l.bestDropped.rate()
			row.DroppedShare = atLeast(row.Dropped/with0, goal)
		}
		rows = append(rows, row)
	}
	return rows
}
