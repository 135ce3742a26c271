package neverblock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// afterwards is how long an address is protected that a name no longer has: answers that
// lack one of several addresses are common.
const afterwards = time.Hour

// Name is what is remembered of a host name.
type Name struct {
	// Answered is when a name server last said what addresses it has, none included; zero for
	// never. Until it says something else, those count.
	Answered time.Time `json:"answered,omitzero"`
	// Fault is why there was no answer the last time, "" when there was one.
	Fault string `json:"fault,omitempty"`
	// Addresses are those of the last answer, with the zero time, and those of earlier ones, with
	// the time of the first answer that lacked them.
	Addresses map[netip.Addr]time.Time `json:"addresses,omitempty"`
}

// At returns the addresses that count at a time, in order.
func (n Name) At(now time.Time) []netip.Addr {
	var addrs []netip.Addr
	for addr, left := range n.Addresses {
		if left.IsZero() || now.Before(left.Add(afterwards)) {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// answered notes an answer.
func (n *Name) answered(addrs []netip.Addr, now time.Time) {
	old := n.Addresses
	*n = Name{Answered: now, Addresses: map[netip.Addr]time.Time{}}
	for _, addr := range addrs[:min(len(addrs), maxAddresses)] {
		n.Addresses[addr] = time.Time{}
	}
	for addr, left := range old {
		if left.IsZero() {
			left = now
		}
		_, has := n.Addresses[addr]
		if !has && now.Before(left.Add(afterwards)) && len(n.Addresses) < maxAddresses {
			n.Addresses[addr] = left
		}
	}
}

// Bounds of what is remembered.
const (
	maxNames     = 4096
	maxAddresses = 256     // of a name
	maxInAll     = 32_768  // addresses of all names, somewhat less than the file has room for
	maxFile      = 8 << 20 // bytes
)

func namesFile(home ossec.Home) string { return filepath.Join(home.State(), "names.json") }

// Names returns what is remembered of all host names on the whitelist.
func Names(home ossec.Home) (map[string]Name, error) {
	names := map[string]Name{}
	dir, err := state.OpenDir(home.State())
	if err == nil {
		defer dir.Close()
		var text []byte
		if text, err = dir.Read(filepath.Base(namesFile(home)), maxFile); err == nil {
			err = json.Unmarshal(text, &names)
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return map[string]Name{}, fmt.Errorf("reading the addresses of host names: %w", err)
	}
	return names, nil
}

// remembered returns the addresses that a name has by what is remembered. The file is read when
// the first name is asked about, and its fault returned once.
func remembered(home ossec.Home, now time.Time) func(string) ([]netip.Addr, error) {
	var names map[string]Name
	return func(name string) (addrs []netip.Addr, err error) {
		if names == nil {
			names, err = Names(home)
		}
		return names[name].At(now), err
	}
}

// Resolver is what Refresh needs of *net.Resolver.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Refresh asks for the addresses of all host names on the whitelist, side by side and within the
// time that the settings give them together, and remembers them. What is remembered of a name
// without an answer stays. The result is what is remembered now.
func Refresh(ctx context.Context, home ossec.Home, settings config.Whitelist,
	resolver Resolver, now time.Time) (map[string]Name, error) {
	if !settings.ResolveNames {
		return nil, nil
	}
	list, _ := List(home, settings, now) // what can be read counts
	asked := list.HostNames()
	asked = asked[:min(len(asked), maxNames)]
	if _, err := os.Lstat(namesFile(home)); len(asked) == 0 && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	answers := Ask(ctx, resolver, asked, settings.ResolveTimeout.Duration)
	dir, err := state.MakeDir(home.State())
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	lock, err := dir.Exclusive(filepath.Base(namesFile(home))+".lock", settings.ResolveTimeout.Duration)
	if err != nil {
		return nil, fmt.Errorf("remembering the addresses of host names: %w", err)
	}
	defer lock.Release()
	old, _ := Names(home) // a damaged file is written anew
	names := make(map[string]Name, len(asked))
	room := maxInAll
	for i, name := range asked {
		n := old[name]
		if err := answers[i].Err; err != nil {
			n.Fault = err.Error()
		} else {
			n.answered(answers[i].Addrs[:min(len(answers[i].Addrs), room)], now)
		}
		room = max(0, room-len(n.Addresses))
		names[name] = n
	}
	text, err := json.MarshalIndent(names, "", "\t")
	var root *os.Root
	if err == nil {
		root, err = state.OpenRoot(home.State())
	}
	if err == nil {
		defer root.Close() // nothing is lost
		err = state.ReplaceIn(root, filepath.Base(namesFile(home)), append(text, '\n'), 0o600,
			state.ReplaceOptions{})
	}
	if err != nil {
		return names, fmt.Errorf("remembering the addresses of host names: %w", err)
	}
	return names, nil
}

// Answer is what came of asking for a name.
type Answer struct {
	Addrs []netip.Addr // none where the name has none
	Err   error        // why there was no answer
}

// maxLookups bounds how many names are asked for at once.
const maxLookups = 64

// Ask asks for all names, the first ones first, and returns the answers in their order. It waits for the
// timeout at the most, whatever the resolver does.
func Ask(ctx context.Context, resolver Resolver, names []string, timeout time.Duration) []Answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var mu sync.Mutex
	answers := make([]Answer, len(names))
	for i := range answers {
		answers[i].Err = fmt.Errorf("no answer within %s", timeout)
	}
	places := make(chan struct{}, maxLookups)
	done := make(chan struct{})
	var asked sync.WaitGroup
	for i, name := range names {
		select {
		case places <- struct{}{}: // in their order
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		asked.Go(func() {
			defer func() { <-places }()
			addrs, err := resolver.LookupNetIP(ctx, "ip", name)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				addrs = nil
			}
			for i, addr := range addrs {
				addrs[i] = addr.Unmap().WithZone("")
			}
			if noAddress(err) {
				err = nil
			}
			mu.Lock()
			defer mu.Unlock()
			answers[i] = Answer{addrs, err}
		})
	}
	go func() { asked.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(answers)
}

// noAddress reports whether the name server answered that a name has no address.
func noAddress(err error) bool {
	var dns *net.DNSError
	var none *net.AddrError // what net.Resolver makes of an empty answer
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &none)
}
