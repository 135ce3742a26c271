package main

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// shape is what a generated log looks like.
type shape struct {
	size      int64 // in bytes, about
	days      int   // over which it is spread, up to end
	end       time.Time
	addresses int     // different ones, of which few do most
	wazuh     float64 // share of requests in Wazuh's dialect
}

// lift is a block's end to come.
type lift struct {
	at    time.Time
	entry arlog.Entry
}

// generate writes the log: blocks at random times, each lifted ten minutes later, with a
// few that are whitelisted, that fail, and lines of garbage. It is the same each time.
func generate(path string, s shape) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	defer func() { err = errors.Join(err, w.Flush(), file.Close()) }()
	random := rand.New(rand.NewPCG(1, 2))
	lineLength := 147 + 850*s.wazuh // about, half of them unblocks
	blocks := float64(s.size) / lineLength / 2
	pace := time.Duration(float64(s.days) * 24 * float64(time.Hour) / blocks)
	now := s.end.AddDate(0, 0, -s.days)
	var lifts []lift
	for n := 1; now.Before(s.end); n++ {
		now = now.Add(time.Duration(random.ExpFloat64() * float64(pace)))
		for len(lifts) > 0 && lifts[0].at.Before(now) {
			if _, err := w.Write(lifts[0].entry.Format()); err != nil {
				return err
			}
			lifts = lifts[1:]
		}
		e := block(random, s, now, n)
		if _, err := w.Write(e.Format()); err != nil {
			return err
		}
		if n%5000 == 0 {
			fmt.Fprintf(w, "garbage %x\n", random.Uint64())
		}
		if e.Status == arlog.StatusAdd {
			e.Status, e.Message = arlog.StatusDelete, arlog.Unblocked(e.Addr, "")
			if e.Wazuh {
				e.JSON = request(e, "delete")
			}
			e.Time = now.Add(600 * time.Second)
			lifts = append(lifts, lift{e.Time, e})
		}
	}
	return nil
}

var (
	programs = []string{"firewall-drop.sh", "firewall-drop.sh", "firewall-drop.sh", "host-deny.sh",
		"custom-firewall-drop.sh"}
	rules = []string{"5712", "5712", "5712", "5720", "31151", "31152", "31153", "31103", "5711"}
)

func block(random *rand.Rand, s shape, now time.Time, n int) arlog.Entry {
	addr := attacker(int(float64(s.addresses) * math.Pow(random.Float64(), 3)))
	rule := rules[random.IntN(len(rules))]
	e := arlog.Entry{
		Time: now, Program: "/var/ossec/active-response/bin/" + programs[random.IntN(len(programs))],
		Status: arlog.StatusAdd, Addr: addr, RuleID: rule, AlertID: fmt.Sprintf("%d.%d", now.Unix(), n%1e7),
		Message: arlog.Blocked(addr, rule, ""),
	}
	switch n % 100 {
	case 0:
		e.Status, e.Message = arlog.StatusSkip, arlog.Skipped(addr, "whitelisted by 10.0.0.0/8 (ossec.conf)")
	case 1:
		e.Status, e.Message = arlog.StatusError,
			arlog.Failed(errors.New("adding drop rule: iptables: exit status 4"))
	default:
		if e.Wazuh = random.Float64() < s.wazuh; e.Wazuh {
			e.JSON = request(e, "add")
		}
	}
	return e
}

// attacker is the nth address: most are IPv4, one of twenty is IPv6.
func attacker(n int) netip.Addr {
	r := rand.New(rand.NewPCG(3, uint64(n)))
	if n%20 == 19 {
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(r.Uint32()),
			byte(r.Uint32()), 0, byte(n), 15: 1})
	}
	v := r.Uint32()
	return netip.AddrFrom4([4]byte{byte(1 + v>>24%223), byte(v >> 16), byte(v >> 8), byte(v)})
}

func request(e arlog.Entry, command string) []byte {
	return fmt.Appendf(nil,
		`{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"%s","parameters":{"extra_args":[],"alert":{"timestamp":"%s","rule":{"level":10,"description":"sshd: brute force trying to get access to the system. Non existent user.","id":"%s","mitre":{"id":["T1110"],"tactic":["Credential Access"],"technique":["Brute Force"]},"frequency":8,"firedtimes":1,"mail":false,"groups":["syslog","sshd","authentication_failures"]},"agent":{"id":"001","name":"web","ip":"10.0.0.5"},"manager":{"name":"node01"},"id":"%s","full_log":"Nov 23 03:27:57 web sshd[1234]: Failed password for invalid user admin from %s port 4242 ssh2","data":{"srcip":"%s","srcport":"4242","srcuser":"admin"},"location":"/var/log/auth.log"},"program":"active-response/bin/firewall-drop"}}`,
		command, e.Time.Format("2006-01-02T15:04:05.000-0700"), e.RuleID, e.AlertID, e.Addr, e.Addr)
}
