package notify

import (
	"cmp"
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// geo looks addresses up in files in MaxMind's format, of countries, cities or networks.
type geo struct {
	paths  []string
	open   []*maxminddb.Reader
	opened bool
}

// geoRecord is what the usual files hold. Others leave it empty.
type geoRecord struct {
	Country struct {
		Code  string            `maxminddb:"iso_code"`
		Names map[string]string `maxminddb:"names"`
	} `maxminddb:"country"`
	City struct {
		Names map[string]string `maxminddb:"names"`
	} `maxminddb:"city"`
	ASNumber uint   `maxminddb:"autonomous_system_number"`
	ASName   string `maxminddb:"autonomous_system_organization"`
}

// lookup returns the country and the network of addr, "" for what is not known. fault gets
// what went wrong.
func (g *geo) lookup(addr netip.Addr, fault func(error)) (country, network string) {
	if !g.opened {
		g.opened = true
		for _, path := range g.paths {
			err := state.Trusted(path)
			var reader *maxminddb.Reader
			if err == nil {
				reader, err = maxminddb.Open(path)
			}
			if err != nil {
				fault(fmt.Errorf("opening the file of networks %s: %w", path, err))
				continue
			}
			g.open = append(g.open, reader)
		}
	}
	for _, reader := range g.open {
		record, prefix, err := lookupIn(reader, addr)
		if err != nil {
			fault(fmt.Errorf("looking for the network of %s: %w", addr, err))
			continue
		}
		if record.Country.Code != "" && country == "" {
			country = cmp.Or(record.Country.Names["en"], record.Country.Code)
			if city := record.City.Names["en"]; city != "" {
				country = city + ", " + country
			}
		}
		if record.ASNumber != 0 && network == "" {
			name := strings.TrimSpace(fmt.Sprintf("AS%d %s", record.ASNumber, record.ASName))
			network = fmt.Sprintf("%s (%s)", name, prefix)
		}
	}
	return printable.Line(country), printable.Line(network)
}

// lookupIn guards against a file that is cut off while it is mapped.
func lookupIn(reader *maxminddb.Reader, addr netip.Addr) (record geoRecord, prefix netip.Prefix, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged: %v", p)
		}
	}()
	result := reader.Lookup(addr)
	if !result.Found() {
		return record, prefix, result.Err()
	}
	prefix = result.Prefix()
	return record, prefix, result.Decode(&record)
}

func (g *geo) close() {
	for _, reader := range g.open {
		_ = reader.Close() // only read from
	}
	g.open, g.opened = nil, false
}
