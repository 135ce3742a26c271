package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/coreos/go-iptables/iptables"

	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// tables is go-iptables under this project's rules for running programs: an absolute
// path, the C locale, and an end when the context ends. It serves where the chain or a
// jump has to be made; the everyday path does without the `iptables --version` that it
// begins with.
type tables struct {
	ctx context.Context
	ipt *iptables.IPTables
}

func (f family) tables(ctx context.Context) (*tables, error) {
	protocol := iptables.ProtocolIPv4
	if f.v6 {
		protocol = iptables.ProtocolIPv6
	}
	if err := os.Setenv("LC_ALL", "C"); err != nil {
		return nil, err
	}
	t := &tables{ctx: ctx}
	err := t.do(func() (err error) {
		t.ipt, err = iptables.New(iptables.IPFamily(protocol), iptables.Path(f.program), iptables.Timeout(f.waitSeconds()))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", f.program, err)
	}
	return t, nil
}

// do runs work until the context ends. go-iptables has no deadline of its own and keeps
// all that the program writes, so the program that it waits for is killed when the time is
// over, and when it floods us; if even that does not end it (a child of the program holds
// its pipe), work is left behind.
func (t *tables) do(work func() error) error {
	_, err := t.ask(func() (bool, error) { return false, work() })
	return err
}

// ask is do for work that finds something out. What is left behind writes to nothing that
// anybody reads.
func (t *tables) ask(work func() (bool, error)) (bool, error) {
	if err := t.ctx.Err(); err != nil {
		return false, err
	}
	type result struct {
		found bool
		err   error
	}
	done := make(chan result, 1)
	go func() {
		found, err := work()
		done <- result{found, err}
	}()
	// A collection would stop this loop for as long as what was written is moved to where there
	// is more room: of 64 MiB, long enough for as many more.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	look := time.NewTicker(floodPause)
	defer look.Stop()
	for before := heap(); ; {
		select {
		case r := <-done:
			if r.err != nil {
				// go-iptables ends its messages as iptables does, with a newline.
				r.err = errors.New(strings.Join(strings.Fields(r.err.Error()), " "))
			}
			return r.found, r.err
		case <-t.ctx.Done():
			exec.KillChildren()
			return false, fmt.Errorf("iptables was killed: %w", t.ctx.Err())
		case <-look.C:
			if heap() > before+maxFlood {
				exec.KillChildren()
				return false, errFlood
			}
		}
	}
}

// What iptables says to the commands that go-iptables gives here is some hundred bytes.
const (
	floodPause = time.Millisecond
	maxFlood   = 2 << 20
)

var errFlood = errors.New("iptables was killed: it writes without end")

// heap returns how many bytes are in use.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// ensureChain makes the chain if there is none and tells whether it did.
func (t *tables) ensureChain() (made bool, err error) {
	err = t.do(func() error { return t.ipt.NewChain(table, Chain) })
	if err == nil {
		return true, nil
	}
	if exists, lookErr := t.chainExists(Chain); lookErr != nil || !exists {
		return false, fmt.Errorf("making chain %s: %w", Chain, err) // what looking for it says is the same once more
	}
	return false, nil
}

func (t *tables) chainExists(chain string) (bool, error) {
	return t.ask(func() (bool, error) { return t.ipt.ChainExists(table, chain) })
}

// forwardChain returns where the jump for forwarded packets belongs: into Docker's chain if
// FORWARD leads there, which it does not where somebody flushed it, or Docker is gone.
func (t *tables) forwardChain() (string, error) {
	docker, err := t.chainExists(dockerUserChain)
	if err != nil {
		return "", fmt.Errorf("looking for chain %s: %w", dockerUserChain, err)
	}
	if docker {
		docker, err = t.exists(forwardChain, "-j", dockerUserChain)
	}
	if err != nil {
		return "", fmt.Errorf("looking for the jump to %s: %w", dockerUserChain, err)
	}
	if docker {
		return dockerUserChain, nil
	}
	return forwardChain, nil
}

// exists tells whether the chain has the rule.
func (t *tables) exists(chain string, rule ...string) (bool, error) {
	return t.ask(func() (bool, error) { return t.ipt.Exists(table, chain, rule...) })
}
