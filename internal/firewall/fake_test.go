package firewall

//lint:file-ignore ST1005 the errors are in the words of iptables

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/state"
)

// fakePrograms are the names that fakeMain answers to.
var fakePrograms = []string{"iptables", "ip6tables", "iptables-restore", "ip6tables-restore"}

// strayPrograms are those of the other variant.
var strayPrograms = []string{"iptables-legacy", "iptables-legacy-restore"}

// contents is the filter table of one family.
type contents struct {
	Chains   map[string][]string // rules as -S prints them, without "-A CHAIN"
	Commands []string            // every command line since the start, for tests to look at
}

var errNoRule = errors.New("Bad rule (does a matching rule exist in that chain?).")

// fakeMain is a stand-in for iptables and ip6tables: a program with contents, that takes the
// commands which this package uses and fails as the kernel does. It runs one call. invoked is the path that it was called as; the contents lies beside
// that file. It returns the exit status.
func fakeMain(invoked string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := filepath.Base(invoked)
	fail := func(status int, err error) int {
		fmt.Fprintf(stderr, "%s v1.8.9 (fake): %v\n", name, err)
		return status
	}
	if slices.Contains(args, "--version") {
		fmt.Fprintf(stdout, "%s v1.8.9 (nf_tables)\n", name)
		return 0
	}
	dir := filepath.Dir(invoked)
	family := strings.TrimSuffix(name, "-restore")
	// a test wants every call to fail
	if text, err := os.ReadFile(filepath.Join(dir, family+".broken")); err == nil {
		var status int
		if _, err := fmt.Sscan(string(text), &status); err != nil {
			panic(err)
		}
		return fail(status, errors.New("it is broken"))
	}
	path := filepath.Join(dir, family+".contents")
	lock, err := state.Exclusive(path+".lock", time.Minute)
	if err != nil {
		return fail(4, err)
	}
	defer lock.Release()
	s := load(path)
	s.Commands = append(s.Commands, strings.Join(append([]string{name}, args...), " "))
	status := 0
	if strings.HasSuffix(name, "-restore") {
		before := s.clone()
		if err := s.restore(stdin); err != nil {
			before.Commands = s.Commands
			s, status = before, fail(1, err)
		}
	} else if err := s.command(args, stdout); err != nil {
		status = fail(1, err)
	}
	if err := s.save(path); err != nil {
		return fail(4, err)
	}
	return status
}

func load(path string) *contents {
	s := &contents{Chains: map[string][]string{"INPUT": {}, "FORWARD": {}, "OUTPUT": {}}}
	if data, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(data, s); err != nil {
			panic(err)
		}
	}
	return s
}

func (s *contents) save(path string) error {
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func (s *contents) clone() *contents {
	c := &contents{Chains: map[string][]string{}}
	for name, rules := range s.Chains {
		c.Chains[name] = slices.Clone(rules)
	}
	return c
}

func (s *contents) restore(stdin io.Reader) error {
	lines := bufio.NewScanner(stdin)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "*filter" || line == "COMMIT" || line == "" {
			continue
		}
		s.Commands = append(s.Commands, line)
		if err := s.command(splitWords(line), io.Discard); err != nil {
			return fmt.Errorf("line %d failed: %w", n, err)
		}
	}
	return lines.Err()
}

// command carries out one command line.
func (s *contents) command(args []string, stdout io.Writer) error {
	var act, chain string
	var spec []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; arg {
		case "-w", "--wait", "-t":
			i++
		case "-n", "-v", "-x", "--line-numbers", "--noflush":
		case "-N", "-A", "-I", "-D", "-C", "-S", "-L", "-F", "-X":
			act = arg
			if i+1 < len(args) {
				i++
				chain = args[i]
			}
		default:
			spec = append(spec, arg)
		}
	}
	rules, exists := s.Chains[chain]
	if act == "-N" {
		if exists {
			return errors.New("Chain already exists.")
		}
		s.Chains[chain] = []string{}
		return nil
	}
	if act == "-S" || act == "-L" {
		return s.list(chain, stdout)
	}
	if !exists {
		return errors.New("No chain/target/match by that name.")
	}
	switch act {
	case "-F":
		s.Chains[chain] = []string{}
		return nil
	case "-X":
		delete(s.Chains, chain)
		return nil
	}
	position := 1
	if len(spec) > 0 && spec[0] == "1" {
		spec = spec[1:]
	}
	if act == "-A" {
		position = len(rules) + 1
	}
	text, err := s.normal(spec)
	if err != nil {
		return err
	}
	at := slices.Index(rules, text)
	switch act {
	case "-C":
		if at < 0 {
			return errNoRule
		}
	case "-D":
		if at < 0 {
			return errNoRule
		}
		s.Chains[chain] = slices.Delete(rules, at, at+1)
	case "-I", "-A":
		s.Chains[chain] = slices.Insert(rules, position-1, text)
	default:
		return fmt.Errorf("unknown command in %q", args)
	}
	return nil
}

func (s *contents) list(chain string, stdout io.Writer) error {
	if _, ok := s.Chains[chain]; chain != "" && !ok {
		return errors.New("No chain/target/match by that name.")
	}
	for name, rules := range s.Chains {
		if chain != "" && name != chain {
			continue
		}
		fmt.Fprintf(stdout, "-N %s\n", name)
		for _, r := range rules {
			before, target, _ := strings.Cut(r, "-j ")
			fmt.Fprintf(stdout, "-A %s %s-c 2 120 -j %s\n", name, before, target)
		}
	}
	return nil
}

// normal writes a rule as the kernel would show it.
func (s *contents) normal(spec []string) (string, error) {
	spec = slices.Clone(spec)
	for i := 0; i+1 < len(spec); i++ {
		switch spec[i] {
		case "-s":
			if addr, err := netip.ParseAddr(spec[i+1]); err == nil {
				spec[i+1] = netip.PrefixFrom(addr, addr.BitLen()).String()
			} else if _, err := netip.ParsePrefix(spec[i+1]); err != nil {
				return "", fmt.Errorf("host/network `%s' not found", spec[i+1])
			}
		case "-j":
			_, chain := s.Chains[spec[i+1]]
			if !chain && !slices.Contains([]string{"DROP", "REJECT", "ACCEPT", "RETURN", "LOG"}, spec[i+1]) {
				return "", fmt.Errorf("Couldn't load target `%s'", spec[i+1])
			}
			if spec[i+1] == "REJECT" && i+2 == len(spec) {
				spec = append(spec, "--reject-with", "icmp-port-unreachable")
			}
		}
	}
	return joinWords(spec), nil
}
