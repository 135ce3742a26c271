package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/ossec-ar/ossec-ar/internal/run"
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
	wait, err := strconv.Atoi(f.wait())
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("LC_ALL", "C"); err != nil {
		return nil, err
	}
	t := &tables{ctx: ctx}
	err = t.do(func() (err error) {
		t.ipt, err = iptables.New(iptables.IPFamily(protocol), iptables.Path(f.program), iptables.Timeout(wait))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", f.program, err)
	}
	return t, nil
}

// do runs work until the context ends. go-iptables has no deadline of its own, so the
// program that it waits for is killed; if even that does not end it (a child of the
// program holds its pipe), work is left behind.
func (t *tables) do(work func() error) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		if err != nil {
			// go-iptables ends its messages as iptables does, with a newline.
			err = errors.New(strings.Join(strings.Fields(err.Error()), " "))
		}
		return err
	case <-t.ctx.Done():
		run.KillChildren()
		return fmt.Errorf("iptables was killed: %w", t.ctx.Err())
	}
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

func (t *tables) chainExists(chain string) (exists bool, err error) {
	err = t.do(func() (err error) {
		exists, err = t.ipt.ChainExists(table, chain)
		return err
	})
	return exists, err
}

// forwardChain returns where forwarded packets are looked at.
func (t *tables) forwardChain() (string, error) {
	docker, err := t.chainExists(dockerUserChain)
	if err != nil {
		return "", fmt.Errorf("looking for chain %s: %w", dockerUserChain, err)
	}
	if docker {
		return dockerUserChain, nil
	}
	return "FORWARD", nil
}

// exists tells whether the chain has the rule.
func (t *tables) exists(chain string, rule ...string) (exists bool, err error) {
	err = t.do(func() (err error) {
		exists, err = t.ipt.Exists(table, chain, rule...)
		return err
	})
	return exists, err
}
