package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// What the file may have at most, in bytes: root's, and one that others can change, which each call of a
// response reads, too.
const (
	maxFile    = 1 << 20
	maxForeign = 64 << 10
)

// ErrForeign says of a file that others than root can change it.
var ErrForeign = errors.New("only whitelist.entries of it counts")

// Load reads a home's settings. The Config is usable even when there is an error: it then holds what
// was sound. A missing file is no error. Of a file that others than root can change only the
// whitelist's entries count.
func Load(home ossec.Home) (Config, error) {
	c := Default()
	var faults []error
	for i, dir := range home.SettingsDirs() {
		path, most := filepath.Join(dir, ossec.SettingsName), maxFile
		if i > 0 {
			most = maxForeign
		}
		data, err := state.Read(path, most)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("reading configuration: %w", err))
			continue
		}
		read, err := parse(path, string(data), Default())
		if untrusted := state.Trusted(path); untrusted != nil {
			c.Whitelist.Strange = append(c.Whitelist.Strange, read.Whitelist.Entries...)
			// What is wrong in it is not said: the text may be that of a secret, by way of a link.
			faults = append(faults, fmt.Errorf("%s: %w: %w", path, ErrForeign, untrusted))
			continue
		}
		c = read
		faults = append(faults, err)
	}
	return c, errors.Join(faults...)
}

// fault is one thing that is wrong, and where.
type fault struct {
	table, key string
	err        error
}

func parse(path, data string, c Config) (Config, error) {
	meta, tables, read, err := decode(path, data)
	faults := decodeTables(meta, tables, &c)
	faults = append(faults, c.check()...)
	if strings.Contains(data, blockfileTable) {
		c.Blockfile.Fault = err // what was skipped may be of it
	}
	all := []error{err}
	for _, f := range faults {
		name := strings.Trim(f.table+"."+f.key, ".")
		wrong := fmt.Errorf("%s:%d: %s: %w", path, lineOf(read, f.table, f.key), name, f.err)
		if strings.HasPrefix(name, blockfileTable) {
			c.Blockfile.Fault = wrong
		}
		all = append(all, wrong)
	}
	return c, errors.Join(all...)
}

// decodeTables fills the fields of c one by one, so that a bad one spoils no other.
func decodeTables(meta toml.MetaData, tables map[string]toml.Primitive, c *Config) []fault {
	var faults []fault
	known := fields(reflect.ValueOf(c).Elem())
	for _, table := range ordered(meta, nil) {
		section, ok := known[table]
		if !ok {
			faults = append(faults, fault{table, "", unknown("table", table, known)})
			continue
		}
		if section.Kind() == reflect.Slice {
			if err := meta.PrimitiveDecode(tables[table], section.Addr().Interface()); err != nil {
				faults = append(faults, fault{table, "", fmt.Errorf("it is written [[%s]], once for each: %w", table, err)})
			}
			continue
		}
		var values map[string]toml.Primitive
		// toml 1.6.0 returns neither a table nor an error where a value or a list of tables stands.
		if err := meta.PrimitiveDecode(tables[table], &values); err != nil || values == nil {
			faults = append(faults, fault{"", table, fmt.Errorf("it is a table, written [%s]", table)})
			continue
		}
		keys := fields(section)
		for _, key := range ordered(meta, []string{table}) {
			into, ok := keys[key]
			if !ok {
				faults = append(faults, fault{table, key, unknown("key", key, keys)})
				continue
			}
			fresh := reflect.New(into.Type())
			if err := meta.PrimitiveDecode(values[key], fresh.Interface()); err != nil {
				faults = append(faults, fault{table, key, kindError(err, into.Type())})
				continue
			}
			into.Set(fresh.Elem())
		}
	}
	for _, key := range meta.Undecoded() {
		if len(key) > 2 || len(key) == 2 && known[key[0]].Kind() == reflect.Slice {
			faults = append(faults, fault{key[0], key[1],
				fmt.Errorf("unknown key %q in it", key[len(key)-1])})
		}
	}
	return faults
}

// ordered returns the names directly under a table, in the order of the file.
func ordered(meta toml.MetaData, under []string) []string {
	var names []string
	seen := map[string]bool{}
	for _, key := range meta.Keys() {
		if len(key) > len(under) && strings.Join(key[:len(under)], "\x00") == strings.Join(under, "\x00") &&
			!seen[key[len(under)]] {
			seen[key[len(under)]] = true
			names = append(names, key[len(under)])
		}
	}
	return names
}

// fields returns the fields of a struct by their names in the file.
func fields(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("toml"); key != "" {
			out[key] = v.Field(i)
		}
	}
	return out
}

func kindError(err error, want reflect.Type) error {
	name := map[reflect.Kind]string{
		reflect.String: "a text in quotes", reflect.Bool: "true or false",
		reflect.Slice: "a list in square brackets", reflect.Int: "a whole number",
	}[want.Kind()]
	if name == "" || want == reflect.TypeFor[Duration]() {
		return err
	}
	return fmt.Errorf("the value must be %s", name)
}
