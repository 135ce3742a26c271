package config

import (
	"fmt"
	"strings"
)

// AddressPlace stands in Blockfile.Format where the address goes.
const AddressPlace = "{address}"

// Blockfile is what ip-customblock does.
type Blockfile struct {
	Folder string   `toml:"folder"` // holds a file for each address, when File is empty
	File   string   `toml:"file"`   // holds a line for each address
	Format string   `toml:"format"` // of such a line
	Reload []string `toml:"reload"` // the program, with arguments, that has File read again

	// Fault is why nothing can be written, nil when it can. No default stands in for what is wrong: who
	// reads the file may not start on a line of another form, and looks for none elsewhere.
	Fault error
}

const blockfileTable = "ip_customblock"

func defaultBlockfile() Blockfile {
	return Blockfile{Folder: "/ipblock", Format: "deny " + AddressPlace + ";"}
}

// check returns what is wrong.
func (b Blockfile) check() (faults []fault) {
	wrong := func(key, format string, args ...any) {
		faults = append(faults, fault{blockfileTable, key, fmt.Errorf(format, args...)})
	}
	if !strings.HasPrefix(b.Folder, "/") {
		wrong("folder", "%q is no absolute path", b.Folder)
	}
	if b.File != "" && !strings.HasPrefix(b.File, "/") {
		wrong("file", "%q is no absolute path", b.File)
	}
	control := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	if strings.Count(b.Format, AddressPlace) != 1 || strings.ContainsFunc(b.Format, control) ||
		strings.HasPrefix(strings.TrimSpace(b.Format), "#") || strings.HasSuffix(b.Format, "\\") ||
		len(b.Format) > 500 {
		wrong("format", "%q is no line with %s in it once", b.Format, AddressPlace)
	}
	if len(b.Reload) > 0 && !strings.HasPrefix(b.Reload[0], "/") {
		wrong("reload", "%q is no absolute path of a program", b.Reload[0])
	}
	return faults
}
