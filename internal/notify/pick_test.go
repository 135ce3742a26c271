package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// answers stands for a mail server in a deliverer: what it says to each recipient, and for
// whom it took which mails.
type answers struct {
	say map[string]error
	got map[string][]string
}

func (a *answers) send(_ context.Context, _ Settings, to []string, message []byte) (map[string]error, error) {
	result := map[string]error{}
	for _, recipient := range to {
		if result[recipient] = a.say[recipient]; a.say[recipient] == nil {
			a.got[recipient] = append(a.got[recipient], string(message))
		}
	}
	return result, nil
}

// named is how often each of the addresses stands in the mails for a recipient.
func (a *answers) named(recipient string, addresses ...string) map[string]int {
	count := map[string]int{}
	for _, mail := range a.got[recipient] {
		mail, _, _ := strings.Cut(mail, "Content-Type: text/html")
		for _, address := range addresses {
			count[address] += strings.Count(mail, "\n"+address+"  ") + strings.Count(mail, "\nAddress:     "+address+"\r\n")
		}
	}
	return count
}

var (
	errGreylisted = errors.New("450 greylisted")
	errNoUser     = refused{errors.New("550 no such user")}
)

const opsAndSecond = "<ossec_config><global><email_to>ops@example.org</email_to><email_to>second@example.org</email_to><smtp_server>192.0.2.1</smtp_server></global></ossec_config>"

// putAllBack puts back what was refused.
func putAllBack(t *testing.T, d *deliverer) int {
	t.Helper()
	names, err := d.queue.names(dirFailed)
	for _, name := range names {
		err = errors.Join(err, d.queue.putBack(name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// Several notices of one address that were put back stay apart, whatever the server says
// next: none takes another's place.
func TestPutBackStaysApart(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	c := newClock()
	d := h.deliverer(c)
	a := &answers{map[string]error{"ops@example.org": errNoUser}, map[string][]string{}}
	d.send = a.send
	rules := []string{"5712", "31103", "40111"}
	for _, rule := range rules {
		h.queueUp(c, "203.0.113.7", rule)
		step(t, d, c)
		c.add(time.Hour)
	}
	// However often they come back, they do.
	for range 30 {
		if n := putAllBack(t, d); n != len(rules) {
			t.Fatalf("%d were put back, want %d", n, len(rules))
		}
		step(t, d, c)
		c.add(time.Hour)
	}
	// So many that all go in one mail.
	for i := range 8 {
		h.queueUp(c, fmt.Sprintf("198.51.100.%d", i+1), "1002")
	}
	a.say["ops@example.org"] = errGreylisted
	putAllBack(t, d)
	step(t, d, c)
	if n := h.waiting(stateWaiting); n != len(rules)+8 {
		t.Errorf("%d wait, want %d", n, len(rules)+8)
	}
	a.say["ops@example.org"] = nil
	for range 3 {
		c.add(time.Hour)
		step(t, d, c)
	}
	all := strings.Join(a.got["ops@example.org"], "")
	for _, rule := range rules {
		if !strings.Contains(all, "rule "+rule) && !strings.Contains(all, "Rule:        "+rule) {
			t.Errorf("the alert of rule %s is lost:\n%s", rule, all)
		}
	}
}

// Where the queue can take no other file, as on a full disk, who got a mail does not get it
// again because somebody else did not, and that one gets it later.
func TestNoRoomForTheRest(t *testing.T) {
	for _, r := range []struct {
		name      string
		say       error
		addresses []string
	}{
		{"one deferred", errGreylisted, []string{"203.0.113.7"}},
		{"one refused", errNoUser, []string{"203.0.113.7"}},
		{"one deferred, many addresses", errGreylisted, []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"}},
		{"one refused, many addresses", errNoUser, []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"}},
	} {
		t.Run(r.name, func(t *testing.T) {
			h := newHouse(t, strings.Replace(opsAndSecond, "<global>", "<global><email_maxperhour>1</email_maxperhour>", 1), "[mail]\ncoalesce = \"0s\"\n")
			c := newClock()
			d := h.deliverer(c)
			a := &answers{map[string]error{"ops@example.org": r.say}, map[string][]string{}}
			tmp := filepath.Join(d.queue.dir, dirTmp)
			d.send = func(ctx context.Context, s Settings, to []string, message []byte) (map[string]error, error) {
				if err := os.RemoveAll(tmp); err != nil {
					t.Error(err)
				}
				return a.send(ctx, s, to, message)
			}
			for _, addr := range r.addresses {
				h.queueUp(c, addr, "5712")
			}
			once := map[string]int{}
			for _, addr := range r.addresses {
				once[addr] = 1
			}
			c.add(gatherTime)
			for range 3 {
				_, _ = d.step(context.Background()) // it may tell of the disk
				d = h.deliverer(c)
				d.send = a.send
				c.add(2 * time.Hour)
			}
			if got := a.named("second@example.org", r.addresses...); !maps.Equal(got, once) {
				t.Errorf("who was not deferred is told of %v", got)
			}
			a.say["ops@example.org"] = nil
			putAllBack(t, d)
			step(t, d, c)
			for _, recipient := range []string{"ops@example.org", "second@example.org"} {
				if got := a.named(recipient, r.addresses...); !maps.Equal(got, once) {
					t.Errorf("%s is told of %v", recipient, got)
				}
			}
			if left, err := d.queue.names(dirReady); err != nil || len(left) > 0 {
				t.Errorf("%s left, %v", left, err)
			}
		})
	}
}

// A digest that gets too long to be one mail goes in several, and every alert is in one.
func TestDigestTooLong(t *testing.T) {
	t.Parallel()
	h := newHouse(t, strings.Replace(onlyOps, "<global>", "<global><email_maxperhour>1</email_maxperhour>", 1), "[mail]\ncoalesce = \"0s\"\n")
	c := newClock()
	d := h.deliverer(c)
	a := &answers{map[string]error{}, map[string][]string{}}
	d.send = a.send
	var addresses []string
	for i := range 400 {
		n := sample(c.Now())
		n.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		addresses = append(addresses, n.Addr.String())
		n.Recipients, n.Rules, n.Count = []string{"ops@example.org"}, nil, maxRules
		for r := range maxRules {
			n.Rules = append(n.Rules, ruleCount{fmt.Sprint(5000 + r), 10, strings.Repeat("&", maxWord), 1, c.Now()})
		}
		n.setID()
		if err := d.queue.write(dirReady, n.ID, n); err != nil {
			t.Fatal(err)
		}
	}
	for mails := 1; mails <= 2; mails++ {
		step(t, d, c)
		if got := a.got["ops@example.org"]; len(got) != mails || len(got[mails-1]) < 1<<20 {
			t.Fatalf("%d mails, want %d, none of them empty", len(got), mails)
		}
		c.add(time.Hour)
	}
	for address, count := range a.named("ops@example.org", addresses...) {
		if count != 1 {
			t.Errorf("%s is named %d times", address, count)
		}
	}
	if left := h.waiting(stateWaiting) + h.waiting(stateRefused); left != 0 {
		t.Errorf("%d left", left)
	}
}

// A template of the administrator's that makes too much takes nothing from the digest.
func TestOwnTemplateTooLong(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	path := string(h.home) + "/text.tmpl"
	h.write(path, `{{range 20000000}}too much{{end}}`)
	h.write(h.home.Settings(), fmt.Sprintf("[mail]\ntext_template = %q\nmax_per_hour = 1\n", path))
	c := newClock()
	d := h.deliverer(c)
	a := &answers{map[string]error{}, map[string][]string{}}
	d.send = a.send
	addresses := []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"}
	for _, addr := range addresses {
		h.queueUp(c, addr, "5712")
	}
	step(t, d, c)
	if got, want := a.named("ops@example.org", addresses...), (map[string]int{addresses[0]: 1, addresses[1]: 1, addresses[2]: 1}); len(a.got["ops@example.org"]) != 1 || !maps.Equal(got, want) {
		t.Errorf("%d mails tell of %v", len(a.got["ops@example.org"]), got)
	}
	if !strings.Contains(h.log(), "broken template "+path) {
		t.Errorf("the log does not tell:\n%s", h.log())
	}
}

// What goes over a file is all that it then holds, be it shorter or longer.
func TestReplaceWithoutRoom(t *testing.T) {
	q := newHouse(t, "", "").queue()
	for i, pair := range [][2]string{{"short", strings.Repeat("long", 3000)}, {strings.Repeat("long", 3000), "short"}, {"same", "size"}} {
		if err := errors.Join(q.write(dirReady, "a", pair[0]), os.RemoveAll(filepath.Join(q.dir, dirTmp))); err != nil {
			t.Fatal(err)
		}
		if err := q.replace(dirReady, "a", "b", pair[1]); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(q.dir, place(dirReady, "b")))
		if err != nil || string(text) != `"`+pair[1]+`"` {
			t.Errorf("%d: %.20q, %v", i, text, err)
		}
		if names, err := q.names(dirReady); err != nil || !slices.Equal(names, []string{"b"}) {
			t.Errorf("%d: %q, %v", i, names, err)
		}
		if err := os.Mkdir(filepath.Join(q.dir, dirTmp), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
