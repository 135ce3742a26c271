package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// singles is how many adds are timed one after the other, for what a single one takes: so many before
// the storm and so many after it.
const singles = 30

// storm starts n adds at once and counts those that failed, and those that are not in
// force afterwards.
func (b *bench) storm(c benchCase, n int) (row stormRow, err error) {
	row = stormRow{Case: c.name, AtOnce: n}
	var h, calm *host
	defer func() { closeAll(&err, h, calm) }()
	for _, place := range []**host{&h, &calm} {
		if *place, err = newHost(b.folder, b.bin); err != nil {
			return row, err
		}
		if err := c.configure(*place); err != nil {
			return row, err
		}
	}
	var alone timing
	add := func(h *host, addr string) []string { return c.call(h, "add", addr) }
	if err := timeSingles(calm, &alone, add); err != nil {
		return row, err
	}
	addrs := addresses(firstTimed, n)
	storm := order{AtOnce: true}
	for _, addr := range addrs {
		storm.Commands = append(storm.Commands, c.call(h, "add", addr))
	}
	done, err := h.follow(storm)
	if err != nil {
		return row, err
	}
	if err := timeSingles(calm, &alone, add); err != nil {
		return row, err
	}
	row.judge(done, alone.quantile(0.5))
	there, err := h.standing(c.shows, n)
	if err != nil {
		return row, err
	}
	row.lost(addrs, there)
	return row, nil
}

// judge fills in what a storm took, beside what a single call of it takes in milliseconds.
func (r *stormRow) judge(done account, single float64) {
	r.Single = single
	longest := slices.MaxFunc(done.Samples, func(a, b sample) int { return int(a.Took - b.Took) })
	goal := mostStorm * single / 1000 * float64(len(done.Samples)) / float64(runtime.NumCPU())
	r.All, r.Longest = atMost(done.Took.Seconds(), goal), atMost(longest.Took.Seconds(), goal)
	r.MiB = atMost(float64(done.MemKiB)/1024, mostStormMiB)
	for _, s := range done.Samples {
		if s.Failed {
			r.Failed++
		}
	}
}

// lost counts the addresses that are not blocked.
func (r *stormRow) lost(addrs []string, there map[string]bool) {
	for _, addr := range addrs {
		if !there[addr] {
			r.Lost++
		}
	}
}

// timeSingles times single calls.
func timeSingles(h *host, t *timing, call func(h *host, addr string) []string) error {
	for range singles {
		s, err := h.run(call(h, address(len(t.runs))))
		if err != nil {
			return err
		}
		t.runs = append(t.runs, s.Took)
	}
	return nil
}

// A flood is of many addresses, each for all programs at once, as attackers cause it that many
// rules are about.
var (
	floods = []int{600, 1000} // addresses

	floodPrograms = []string{"firewall-drop", "custom-firewall-drop", "host-deny", "email-notification"}
	floodConfig   = map[string]string{
		"etc/active-response.toml": `host_deny.file = "HOME/hosts.deny"
mail.linger = "1s"
mail.timeout = "1s"
`,
		"etc/ossec.conf": `<ossec_config><global>
<email_to>root@localhost</email_to><email_from>ossec@localhost</email_from>
<smtp_server>127.0.0.1</smtp_server><smtp_port>1</smtp_port>
</global></ossec_config>
`,
	}
)

// flood starts all programs for so many addresses at once. The queued mail stays: nobody takes it.
func (b *bench) flood(count int) (row stormRow, err error) {
	row.Case = fmt.Sprintf("%d x %d programs", count, len(floodPrograms))
	row.AtOnce = count * len(floodPrograms)
	var h, calm *host
	defer func() { closeAll(&err, h, calm) }()
	for _, place := range []**host{&h, &calm} {
		if *place, err = newHost(b.folder, b.bin); err != nil {
			return row, err
		}
		for name, text := range floodConfig {
			text = strings.ReplaceAll(text, "HOME", (*place).home)
			if err := os.WriteFile((*place).file(name), []byte(text), 0o644); err != nil {
				return row, err
			}
		}
		if err := os.Symlink("firewall-drop", (*place).path("custom-firewall-drop")); err != nil {
			return row, err
		}
	}
	b.calm()
	var alone timing
	turn := 0
	single := func(h *host, addr string) []string {
		turn++
		return ossecCall(h, floodPrograms[turn%len(floodPrograms)], "add", addr)
	}
	if err := timeSingles(calm, &alone, single); err != nil {
		return row, err
	}
	addrs := addresses(firstTimed, count)
	storm := order{AtOnce: true}
	for _, addr := range addrs {
		for _, program := range floodPrograms {
			storm.Commands = append(storm.Commands, ossecCall(h, program, "add", addr))
		}
	}
	done, err := h.follow(storm)
	if err != nil {
		return row, err
	}
	row.judge(done, alone.mean())
	said, err := os.ReadFile(h.file("errors"))
	if err != nil {
		return row, err
	}
	row.Failed += strings.Count(string(said), "\n") // that it went on without a lease, say
	firewall := []string{"iptables -w -S OSSEC_AR", "ipset save ossec_ar4"}
	for _, shows := range [][]string{firewall, {"cat HOME/hosts.deny"}} {
		there, err := h.standing(shows, count)
		if err != nil {
			return row, err
		}
		row.lost(addrs, there)
	}
	return row, nil
}
