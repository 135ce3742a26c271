package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/alerts"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/lease"
	"github.com/ossec-ar/ossec-ar/internal/neverblock"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

const (
	// settleTime is how long after an event its facts may still be coming: the alert is
	// written and the address blocked by processes that started beside ours.
	settleTime = 2 * time.Second
	// leaseAge is how old a lease must be to count at once: a response takes it first and
	// gives it back when it fails to block.
	leaseAge = 300 * time.Millisecond
	// nameTime bounds the look-up of an address's name.
	nameTime = 500 * time.Millisecond
	// fewEvents is up to how many events at once each gets what takes time.
	fewEvents = 16
	// leaseWait bounds the waiting for a lease file that others use.
	leaseWait = time.Second
)

// Responses are the responses whose leases tell whether an address is blocked.
var Responses = []string{"firewall-drop", "host-deny", "route-null"}

// nameResolver is what is needed of *net.Resolver to find an address's name.
type nameResolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// resolver finds the facts to an event.
type resolver struct {
	home   ossec.Home
	config config.Config
	now    func() time.Time
	lookup whitelist.Resolver
	geo    *geo
	names  map[netip.Addr]*nameLookup
	fault  func(error) // tells what went wrong on the way
}

// round is one look at all events that wait.
type round struct {
	*resolver
	few    bool
	leases map[netip.Addr][]lease.Lease // nil: not read
	broken error                        // why leases is not to be trusted
	list   *whitelist.List
	spent  time.Duration // on the whitelist
}

func (r *resolver) round(events int) *round {
	return &round{resolver: r, few: events <= fewEvents}
}

// settle makes a notice of an event, or returns false when facts may still be coming.
func (r *round) settle(ctx context.Context, e event) (notice, bool) {
	n := notice{Kind: e.Kind, Program: e.Program, Addr: e.Addr, First: e.Queued, Last: e.Queued, Count: 1, RuleID: e.RuleID, Message: e.Message}
	if e.Kind == kindMessage {
		return n, true
	}
	age := r.now().Sub(e.Queued)
	late := age >= settleTime || age < 0 // the clock was set back
	facts, whole := r.alert(ctx, e, late)
	if !whole && !late {
		return n, false
	}
	standing, sure := r.standing(ctx, e)
	if !sure && !late {
		return n, false
	}
	name, answered := r.name(e.Addr)
	if !answered && !late {
		return n, false
	}
	n.Alert, n.Standing, n.Reverse = facts, standing, name
	n.RuleID = orElse(e.RuleID, facts.RuleID)
	n.Rules = []ruleCount{{ID: n.RuleID, Level: facts.Level, Description: facts.Description, Count: 1, Last: facts.Time}}
	if e.Addr.IsValid() && r.geo != nil {
		n.Country, n.Network = r.geo.lookup(e.Addr, r.fault)
	}
	return n, true
}

// wait makes a notice of one event, waiting for its facts as long as they may be coming.
func (r *resolver) wait(ctx context.Context, e event) notice {
	for {
		n, settled := r.round(1).settle(ctx, e)
		if settled {
			return n
		}
		time.Sleep(unsettledPause)
	}
}

// alert returns what is known of the event's alert, and whether that is all there is.
func (r *round) alert(ctx context.Context, e event, late bool) (alertFacts, bool) {
	if e.Alert != nil {
		return *e.Alert, true
	}
	bare := alertFacts{ID: e.AlertID, Time: e.Queued, RuleID: e.RuleID, User: e.User, Location: e.Where}
	if host, rest, ok := strings.Cut(e.Where, "->"); ok {
		bare.Host, bare.Location = host, rest
	}
	if e.AlertID == "" || !strings.Contains(e.AlertID, ".") {
		bare.Missing = "the call named no alert"
		return bare, true
	}
	found, err := alerts.Find(ctx, r.home.Alerts(), e.AlertID)
	switch {
	case found == nil && errors.Is(err, alerts.ErrNoAlert) && !unreadable(err):
		bare.Missing = "it is not in alerts.log or alerts.json: its level may be below log_alert_level, or it is kept on the manager"
		return bare, false
	case found == nil:
		bare.Missing = cleanLine(err.Error())
		return bare, false
	case found.Partial && !late:
		return bare, false
	}
	facts := factsOf(found)
	facts.RuleID = orElse(facts.RuleID, e.RuleID)
	facts.User = orElse(facts.User, e.User)
	return facts, true
}

func unreadable(err error) bool {
	var path *os.PathError
	return errors.As(err, &path)
}

// standing returns who holds the address, and whether that will hardly change within the
// settle time.
func (r *round) standing(ctx context.Context, e event) (standing, bool) {
	var s standing
	if !e.Addr.IsValid() {
		return s, true
	}
	leases, err := r.leasesOn(e.Addr)
	if err != nil {
		s.Unknown = cleanLine(err.Error())
	}
	sure := true
	for _, l := range leases {
		if l.Lifting {
			s.Lifting = append(s.Lifting, cleanLine(l.Program))
			continue
		}
		s.Holders = append(s.Holders, holder{cleanLine(l.Program), cleanLine(l.RuleID), l.Since})
		sure = sure && r.now().Sub(l.Renewed) >= leaseAge
	}
	if e.Kind == kindEnd {
		return s, len(s.Holders) == 0 && len(s.Lifting) == 0
	}
	if s.blocked() {
		return s, sure
	}
	match, covered := r.whitelisted(ctx, e.Addr)
	if covered {
		s.Whitelisted = cleanLine(match.String())
	}
	return s, covered
}

// leasesOn returns the leases on addr of all responses.
func (r *round) leasesOn(addr netip.Addr) ([]lease.Lease, error) {
	if r.leases != nil {
		return r.leases[addr], r.broken
	}
	if !r.few {
		r.leases = map[netip.Addr][]lease.Lease{}
	}
	var on []lease.Lease
	var faults []error
	for _, response := range Responses {
		store := lease.New(r.home.State(), response)
		if _, err := os.Lstat(store.Path()); errors.Is(err, os.ErrNotExist) {
			continue // it never blocked anybody
		}
		store.Wait = leaseWait
		if r.few {
			held, err := store.Holders(addr, "")
			on = append(append(on, held.Others...), held.Lifting...)
			faults = append(faults, err)
			continue
		}
		all, err := store.All()
		for _, l := range all {
			r.leases[l.Addr] = append(r.leases[l.Addr], l)
		}
		faults = append(faults, err)
	}
	if r.few {
		return on, errors.Join(faults...)
	}
	r.broken = errors.Join(faults...)
	return r.leases[addr], r.broken
}

// maxWhitelist bounds what one round spends on host names in the whitelist.
const maxWhitelist = 2 * time.Second

func (r *round) whitelisted(ctx context.Context, addr netip.Addr) (whitelist.Match, bool) {
	if r.list == nil {
		list, err := neverblock.List(r.home, r.config.Whitelist, r.lookup)
		if err != nil {
			r.fault(err)
		}
		r.list = list
	}
	if r.spent > maxWhitelist {
		r.list.Resolver = nil
	}
	begin := time.Now()
	defer func() { r.spent += time.Since(begin) }()
	return r.list.Match(ctx, addr)
}

// nameLookup is one look-up under way.
type nameLookup struct {
	done chan struct{}
	name string // may be read when done is closed
}

// name returns the name of an address, and false while the answer may still come.
func (r *round) name(addr netip.Addr) (string, bool) {
	names, ok := r.lookup.(nameResolver)
	if !ok || !addr.IsValid() || !r.config.Mail.ReverseName {
		return "", true
	}
	l := r.names[addr]
	if l == nil {
		if !r.few {
			return "", true
		}
		l = &nameLookup{done: make(chan struct{})}
		r.names[addr] = l
		go func() {
			defer close(l.done)
			ctx, cancel := context.WithTimeout(context.Background(), nameTime)
			defer cancel()
			if found, err := names.LookupAddr(ctx, addr.String()); err == nil && len(found) > 0 {
				l.name = cleanLine(strings.TrimSuffix(found[0], "."))
			}
		}()
	}
	select {
	case <-l.done:
		return l.name, true
	default:
		return "", false
	}
}

// forget drops the names that have been found, so that a long run does not gather them.
func (r *resolver) forget() {
	for addr, l := range r.names {
		select {
		case <-l.done:
			delete(r.names, addr)
		default:
		}
	}
}

// describe tells in words how an address stands, one fact in each line.
func (s standing) describe(zone *time.Location) []string {
	var lines []string
	for _, h := range s.Holders {
		line := fmt.Sprintf("Blocked by %s since %s", h.Program, h.Since.In(zone).Format(timeLayout))
		if h.RuleID != "" {
			line += fmt.Sprintf(" (rule %s)", h.RuleID)
		}
		lines = append(lines, line)
	}
	for _, name := range s.Lifting {
		lines = append(lines, name+" gave its block up, but could not lift it yet")
	}
	if s.Whitelisted != "" {
		lines = append(lines, "Not blocked: whitelisted by "+s.Whitelisted)
	}
	if s.Unknown != "" {
		lines = append(lines, "Whether it is blocked could not be told: "+s.Unknown)
	}
	if len(lines) == 0 {
		lines = append(lines, "Not blocked: no response on this machine holds it")
	}
	return lines
}
