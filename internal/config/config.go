// Package config reads active-response.toml, the suite's own configuration. All that
// can be set has a default here and nowhere else, and everything works without the
// file. A fault in it (an unknown key, a value of the wrong kind) is reported with its
// place, together with all others; what is sound still counts, because a response must
// not lose its whitelist to a typing error elsewhere in the file.
package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is the whole file. Each table is one field.
type Config struct {
	Whitelist Whitelist `toml:"whitelist"`
	Wazuh     Wazuh     `toml:"wazuh"`
	Lease     Lease     `toml:"lease"`
	Block     Block     `toml:"block"`
	Log       Log       `toml:"log"`
	Firewall  Firewall  `toml:"firewall"`
	HostDeny  HostDeny  `toml:"host_deny"`
	Blockfile Blockfile `toml:"ip_customblock"`
	RouteNull RouteNull `toml:"route_null"`
	Account   Account   `toml:"account"`
	Escalate  []Step    `toml:"escalate"`
	Mail      Mail      `toml:"mail"`
	Chat      []Chat    `toml:"chat"`
}

// Whitelist is what is never blocked, beside ossec.conf's own lists.
type Whitelist struct {
	Entries        []string `toml:"entries"`
	Strange        []string // entries of a file that others than root can change
	Files          []string `toml:"files"`           // beside etc/whitelist.d/*
	ResolveTimeout Duration `toml:"resolve_timeout"` // for all host names together
	ResolveNames   bool     `toml:"resolve_names"`

	Loopback     bool `toml:"loopback"`
	Unspecified  bool `toml:"unspecified"`
	Multicast    bool `toml:"multicast"`
	Broadcast    bool `toml:"broadcast"`
	OwnAddresses bool `toml:"own_addresses"`
	Gateways     bool `toml:"gateways"`
	DNSServers   bool `toml:"dns_servers"`
	DHCPServers  bool `toml:"dhcp_servers"`
	Manager      bool `toml:"manager"` // of an agent, as ossec.conf names it
	Metadata     bool `toml:"metadata"`
	Translated   bool `toml:"translated"`    // NAT64 and 6to4 forms of IPv4 addresses on the list
	AdminSession bool `toml:"admin_session"` // the SSH sessions of this host, for a block by hand
}

// Wazuh is how Wazuh's daemons are talked to.
type Wazuh struct {
	// AddressFields are tried in order; nil means arproto's own list.
	AddressFields []string `toml:"address_fields"`
	// ReplyTimeout bounds the waiting for the request, and for the answer to check_keys.
	ReplyTimeout Duration `toml:"reply_timeout"`
}

// Lease is how leases are kept.
type Lease struct {
	LockTimeout Duration `toml:"lock_timeout"` // then the response goes on without leases
	// OrphanTimeout is how old a lease may become whose daemon has died; zero means as
	// long as ar.conf lets its response last.
	OrphanTimeout Duration `toml:"orphan_timeout"`
}

// Block is what is blocked for an attacker.
type Block struct {
	// IPv6Prefix is how many bits the network has that is blocked for an IPv6 address: 128, which
	// is the address alone, or one of NetworkBits.
	IPv6Prefix int `toml:"ipv6_prefix"`
}

// NetworkBits are the networks that providers give to one customer (RFC 6177), the narrowest first.
var NetworkBits = []int{64, 56, 48}

// Log is what is logged beside active-responses.log.
type Log struct {
	JSON bool `toml:"json"` // logs/active-responses.json
}

// Firewall is what firewall-drop does.
type Firewall struct {
	// Backend is what blocks: iptables (a rule an address), ipset, nftables (a table of its
	// own), or auto: rules for the first MaxRules addresses, the set for later ones,
	// nftables where iptables is not installed. Auto and nftables prefer the administrator's own sets.
	Backend      string `toml:"backend"`
	MaxRules     int    `toml:"max_rules"`
	MaxAddresses int    `toml:"max_addresses"` // that a set takes

	Target  string `toml:"target"`  // DROP or REJECT
	Forward string `toml:"forward"` // auto, always, never: whether forwarded packets are dropped too
	// Early has iptables drop packets before connections are tracked, forwarded ones too.
	Early   bool     `toml:"early"`
	Timeout Duration `toml:"timeout"` // of one program that is run
}

func defaultFirewall() Firewall {
	return Firewall{
		Backend: "auto", MaxRules: 16, MaxAddresses: 1_000_000,
		Target: "DROP", Forward: "auto", Timeout: Duration{20 * time.Second},
	}
}

// check returns what is wrong with the numbers and puts the default in their place.
func (f *Firewall) check() []fault {
	var faults []fault
	def := defaultFirewall()
	within := func(key string, value *int, fallback, least, most int) {
		if *value < least || *value > most {
			faults = append(faults, fault{"firewall", key,
				fmt.Errorf("%d is not from %d to %d", *value, least, most)})
			*value = fallback
		}
	}
	// A packet goes through all rules: far fewer than these slow a host down.
	within("max_rules", &f.MaxRules, def.MaxRules, 0, 100_000)
	within("max_addresses", &f.MaxAddresses, def.MaxAddresses, 1, 100_000_000)
	if f.Early && (f.Target == "REJECT" || f.Forward == "never") {
		faults = append(faults, fault{"firewall", "early", errors.New(
			`true goes with neither target "REJECT" nor forward "never": it drops what is forwarded, too`)})
		f.Early = false
	}
	return faults
}

// HostDeny is what host-deny does.
type HostDeny struct {
	File    string `toml:"file"`    // hosts.deny, or hosts.allow where allow_form is set
	Daemons string `toml:"daemons"` // the daemon list of an entry
	// AllowForm writes "DAEMONS : ADDRESS : deny", as BSD systems keep it in hosts.allow.
	AllowForm bool `toml:"allow_form"`
}

// RouteNull is what route-null does.
type RouteNull struct {
	Type string `toml:"type"` // blackhole, unreachable or prohibit
}

// Step is one step of holding longer who was blocked before: at the After-th block Within a time,
// for Block at least.
type Step struct {
	After  int      `toml:"after"`
	Within Duration `toml:"within"`
	Block  Duration `toml:"block"`
}

// checkSteps returns what is wrong with the steps, and keeps the others.
func (c *Config) checkSteps() (faults []fault) {
	c.Escalate = slices.DeleteFunc(c.Escalate, func(s Step) bool {
		if s.After >= 2 && s.Within.Duration > 0 && s.Block.Duration > 0 {
			return false
		}
		faults = append(faults, fault{"escalate", "", errors.New(
			`a step has after (2 or more), within and block, as after = 3, within = "7d", block = "30d"`)})
		return true
	})
	return faults
}

// How accounts are locked.
const (
	AccountBoth   = "both"
	AccountLock   = "lock"   // no password matches
	AccountExpire = "expire" // neither a password nor a key lets anybody in
)

// Account is what disable-account does.
type Account struct {
	Method          string   `toml:"method"`
	Sessions        bool     `toml:"sessions"` // end what the account runs
	Never           []string `toml:"never"`
	ProtectedGroups []string `toml:"protected_groups"` // whose members are never locked
	Max             int      `toml:"max"`              // accounts that are locked at the same time
}

// Default returns what holds where nothing is configured.
func Default() Config {
	return Config{
		Whitelist: Whitelist{
			ResolveTimeout: Duration{2 * time.Second}, ResolveNames: true,
			Loopback: true, Unspecified: true, Multicast: true, Broadcast: true,
			OwnAddresses: true, Gateways: true, DNSServers: true, DHCPServers: true,
			Manager: true, Metadata: true, Translated: true, AdminSession: true,
		},
		Wazuh:     Wazuh{ReplyTimeout: Duration{10 * time.Second}},
		Lease:     Lease{LockTimeout: Duration{10 * time.Second}},
		Block:     Block{IPv6Prefix: 128},
		Firewall:  defaultFirewall(),
		Blockfile: defaultBlockfile(),
		HostDeny:  HostDeny{File: "/etc/hosts.deny", Daemons: "ALL"},
		RouteNull: RouteNull{Type: "blackhole"},
		Account:   Account{Method: AccountBoth, ProtectedGroups: []string{"sudo", "wheel", "adm"}, Max: 20},
		Mail:      defaultMail(),
	}
}

// check returns what is wrong with values that have the right kind, and puts the
// default in their place.
func (c *Config) check() []fault {
	def := Default()
	var faults []fault
	choice := func(table, key string, value *string, fallback string, choices ...string) {
		if slices.Contains(choices, *value) {
			return
		}
		faults = append(faults, fault{table, key,
			fmt.Errorf("%q is not one of %s", *value, strings.Join(choices, ", "))})
		*value = fallback
	}
	positive := func(table, key string, value *Duration, fallback Duration) {
		if value.Duration <= 0 {
			faults = append(faults, fault{table, key, fmt.Errorf("%q is not more than zero", value.String())})
			*value = fallback
		}
	}
	faults = append(faults, c.Firewall.check()...)
	faults = append(faults, c.Blockfile.check()...)
	if n := c.Block.IPv6Prefix; n != 128 && !slices.Contains(NetworkBits, n) {
		faults = append(faults, fault{"block", "ipv6_prefix", fmt.Errorf("%d is not one of 128, 64, 56, 48", n)})
		c.Block.IPv6Prefix = def.Block.IPv6Prefix
	}
	faults = append(faults, c.checkSteps()...)
	faults = append(faults, c.checkChat()...)
	choice("firewall", "backend", &c.Firewall.Backend, def.Firewall.Backend, "auto",
		"iptables", "ipset", "nftables")
	choice("firewall", "target", &c.Firewall.Target, def.Firewall.Target, "DROP", "REJECT")
	choice("firewall", "forward", &c.Firewall.Forward, def.Firewall.Forward, "auto", "always", "never")
	choice("route_null", "type", &c.RouteNull.Type, def.RouteNull.Type, "blackhole",
		"unreachable", "prohibit")
	choice("account", "method", &c.Account.Method, def.Account.Method, AccountBoth, AccountLock, AccountExpire)
	if c.Account.Max < 1 {
		faults = append(faults, fault{"account", "max", fmt.Errorf("%d is not more than zero", c.Account.Max)})
		c.Account.Max = def.Account.Max
	}
	positive("firewall", "timeout", &c.Firewall.Timeout, def.Firewall.Timeout)
	positive("wazuh", "reply_timeout", &c.Wazuh.ReplyTimeout, def.Wazuh.ReplyTimeout)
	positive("lease", "lock_timeout", &c.Lease.LockTimeout, def.Lease.LockTimeout)
	positive("whitelist", "resolve_timeout", &c.Whitelist.ResolveTimeout, def.Whitelist.ResolveTimeout)
	mailFaults := c.Mail.check(choice, positive)
	faults = append(faults, mailFaults...)
	if !strings.HasPrefix(c.HostDeny.File, "/") {
		faults = append(faults, fault{"host_deny", "file",
			fmt.Errorf("%q is no absolute path", c.HostDeny.File)})
		c.HostDeny.File = def.HostDeny.File
	}
	if d := c.HostDeny.Daemons; d == "" || strings.ContainsAny(d, ":#\\\"\x00\n\r") ||
		strings.TrimSpace(d) != d {
		faults = append(faults, fault{"host_deny", "daemons", fmt.Errorf("%q is no daemon list", d)})
		c.HostDeny.Daemons = def.HostDeny.Daemons
	}
	return faults
}

// Duration is a length of time, written as "500ms", "10s", "2h" or "7d".
type Duration struct{ time.Duration }

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	if days, ok := strings.CutSuffix(string(text), "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		d.Duration = time.Duration(n) * 24 * time.Hour
		return wrong(text, err)
	}
	d.Duration, err = time.ParseDuration(string(text))
	return wrong(text, err)
}

func wrong(text []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%q is no duration such as 500ms, 10s, 2h or 7d", text)
	}
	return nil
}

// MarshalText writes a duration as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
