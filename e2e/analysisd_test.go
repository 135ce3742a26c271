package e2e

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// alert is what analysisd knows of an event. "-" stands for an address or user that it has
// not found.
type alert struct {
	ID, Rule, Address, User, Location string
	Level                             int
}

// conf is what ossec.conf says of responses: a file has any number of <ossec_config>.
type conf struct {
	Config []struct {
		Global []struct {
			White []string `xml:"white_list"`
			Allow []string `xml:"allow_list"`
		} `xml:"global"`
		Rules []struct {
			Include []string `xml:"include"`
		} `xml:"rules"`
		Commands []struct {
			Name       string `xml:"name"`
			Executable string `xml:"executable"`
			Expect     string `xml:"expect"`
		} `xml:"command"`
		Responses []response `xml:"active-response"`
	} `xml:"ossec_config"`
}

type response struct {
	Disabled  string `xml:"disabled"`
	Command   string `xml:"command"`
	Location  string `xml:"location"`
	RulesID   string `xml:"rules_id"`
	Level     string `xml:"level"`
	Timeout   string `xml:"timeout"`
	Offenders string `xml:"repeated_offenders"`

	entry  entry
	expect string
}

// entry is a line of ar.conf.
type entry struct {
	Name, Executable string
	Timeout          time.Duration
}

func (e entry) String() string {
	return fmt.Sprintf("%s - %s - %d\n", e.Name, e.Executable, int(e.Timeout/time.Second))
}

func readConf(file string) (conf, error) {
	var c conf
	text, err := os.ReadFile(file)
	if err != nil {
		return c, err
	}
	d := xml.NewDecoder(io.MultiReader(strings.NewReader("<file>"), bytes.NewReader(text), strings.NewReader("</file>")))
	d.Strict = false // comments hold "--"
	return c, d.Decode(&c)
}

// responses are those that a daemon carries out, or why it would not start.
func (c conf) responses() ([]response, error) {
	var all []response
	var commands = map[string]struct{ executable, expect string }{}
	rules := 0
	for _, part := range c.Config {
		if rules += len(part.Rules); rules > 1 {
			return nil, errors.New("signature ID '600' not found: a second <rules> throws the first away")
		}
		for _, command := range part.Commands {
			commands[command.Name] = struct{ executable, expect string }{command.Executable, command.Expect}
		}
		for _, r := range part.Responses {
			if r.Command == "" { // settings of execd alone
				continue
			}
			command, defined := commands[r.Command]
			if !defined {
				return nil, fmt.Errorf("<command> %q is not defined", r.Command)
			}
			if _, err := strconv.Atoi(r.Level + "0"); err != nil {
				return nil, fmt.Errorf("<level> %q is not a number", r.Level)
			}
			seconds, _ := strconv.Atoi(r.Timeout) // none is 0
			r.expect = command.expect
			r.entry = entry{fmt.Sprintf("%s%d", r.Command, seconds), command.executable, time.Duration(seconds) * time.Second}
			all = append(all, r)
		}
	}
	return all, nil
}

// asks reports whether an alert leads to this response.
func (r response) asks(a alert) bool {
	level, err := strconv.Atoi(r.Level)
	return slices.Contains(strings.Split(r.RulesID, ","), a.Rule) || err == nil && a.Level >= level
}

// readOffenders reads <repeated_offenders> as execd does: from the first <active-response> of
// each <ossec_config>, the last one counts. They are minutes.
func readOffenders(file string) []time.Duration {
	c, err := readConf(file)
	if err != nil {
		return nil
	}
	var offenders []time.Duration
	for _, part := range c.Config {
		if len(part.Responses) == 0 || part.Responses[0].Offenders == "" {
			continue
		}
		offenders = nil
		for minutes := range strings.SplitSeq(part.Responses[0].Offenders, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(minutes))
			must(err)
			offenders = append(offenders, time.Duration(n)*time.Minute)
		}
	}
	return offenders
}

// readEntries reads the ar.conf of a home. execd leaves out what is not installed.
func readEntries(home string) []entry {
	text, err := os.ReadFile(filepath.Join(home, "etc/shared/ar.conf"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	must(err)
	var entries []entry
	for line := range strings.Lines(string(text)) {
		words := strings.Split(strings.TrimSpace(line), " - ")
		if _, err := os.Stat(filepath.Join(home, bin, words[1])); err != nil {
			continue
		}
		seconds, err := strconv.Atoi(words[2])
		must(err)
		entries = append(entries, entry{words[0], words[1], time.Duration(seconds) * time.Second})
	}
	return entries
}

// analysisd decides which responses an alert leads to, as ossec.conf says, and asks execd for them.
// It runs in the test; the process of that name is only there for who looks for it.
type analysisd struct {
	responses []response
	white     []netip.Prefix
	wazuh     bool
	home      string
	execd     net.Conn // to the execd of its start
}

// startAnalysisd reads the configuration, and writes ar.conf.
func startAnalysisd(home string, wazuh bool) (*analysisd, error) {
	c, err := readConf(filepath.Join(home, "etc/ossec.conf"))
	if err != nil {
		return nil, err
	}
	a := &analysisd{home: home, wazuh: wazuh}
	if a.responses, err = c.responses(); err != nil {
		return nil, err
	}
	for _, part := range c.Config {
		for _, global := range part.Global {
			for _, address := range slices.Concat(global.White, global.Allow) {
				if p, err := netip.ParsePrefix(address); err == nil {
					a.white = append(a.white, p)
				} else if addr, err := netip.ParseAddr(address); err == nil {
					a.white = append(a.white, netip.PrefixFrom(addr, addr.BitLen()))
				} // a name is none of these
			}
		}
	}
	text := "restart-ossec0 - restart-ossec.sh - 0\n"
	for _, r := range a.responses {
		text += r.entry.String()
	}
	shared := filepath.Join(home, "etc/shared")
	if err := errors.Join(os.MkdirAll(shared, 0o770), os.WriteFile(shared+"/ar.conf", []byte(text), 0o640)); err != nil {
		return nil, err
	}
	a.execd, err = dialExecd(home)
	return a, err
}

// dialExecd connects to the queue of a home whose path may be too long for a socket's.
func dialExecd(home string) (net.Conn, error) {
	folder, err := os.Open(filepath.Join(home, filepath.Dir(queue)))
	if err != nil {
		return nil, err
	}
	defer folder.Close() // the connection stands by then
	name := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(queue))
	return net.Dial("unixgram", name)
}

// alert asks execd for the responses that an alert leads to, and returns how many these are.
func (a *analysisd) alert(event alert) (int, error) {
	address, err := netip.ParseAddr(event.Address)
	if err == nil && slices.ContainsFunc(a.white, func(p netip.Prefix) bool { return p.Contains(address) }) {
		return 0, nil
	}
	sent := 0
	for _, r := range a.responses {
		if !r.asks(event) {
			continue
		}
		asked := event
		if !a.wazuh {
			address, user := strings.Contains(r.expect, "srcip"), strings.Contains(r.expect, "user")
			if address && event.Address == "-" || user && event.User == "-" {
				continue
			}
			if !address {
				asked.Address = "-"
			}
			if !user {
				asked.User = "-"
			}
		}
		if _, err := a.execd.Write(encode(order{Response: r.entry.Name, Alert: asked})); err != nil {
			if !a.wazuh {
				return sent, err // OSSEC's never connects again
			}
			if a.execd, err = dialExecd(a.home); err != nil {
				return sent, err
			}
			continue // Wazuh's does, and forgets what it had to send
		}
		sent++
	}
	return sent, nil
}

// testConf tests the configuration of the home, or another behind -c.
func testConf() {
	file := filepath.Join(filepath.Dir(filepath.Dir(os.Args[0])), "etc/ossec.conf")
	if i := slices.Index(os.Args, "-c"); i > 0 {
		file = os.Args[i+1]
	}
	c, err := readConf(file)
	if err == nil {
		_, err = c.responses()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: ERROR: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}
