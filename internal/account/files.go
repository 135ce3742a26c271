package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// maxFile bounds a file of accounts, in bytes.
const maxFile = 64 << 20

// files are what /etc says about local accounts, passwd(5), shadow(5), group(5), login.defs(5).
type files struct {
	passwd map[string]passwdEntry
	shadow map[string]shadowEntry
	groups []group
	uidMin int
}

type passwdEntry struct{ uid, gid int }

type group struct {
	name    string
	gid     int
	members []string
}

// shadowEntry is what a line of shadow(5) says about who may log in.
type shadowEntry struct {
	password string
	expire   string // days since 1970, "" for never
}

// locked reports whether no password matches.
func (s shadowEntry) locked() bool { return strings.HasPrefix(s.password, "!") || s.password == "*" }

// expired reports whether the account is closed at that time, for keys as well. A day that is
// no number is none, as for pam_unix(8).
func (s shadowEntry) expired(now time.Time) bool {
	day, err := strconv.ParseInt(s.expire, 10, 64)
	return err == nil && day > 0 && day <= now.Unix()/86400
}

// read reads the files. Lines that are none of an account are left out; of two about one name the
// first counts, as for getpwnam(3).
func read() (*files, error) {
	f := &files{passwd: map[string]passwdEntry{}, shadow: map[string]shadowEntry{}, uidMin: 1000}
	err := lines("/etc/passwd", 7, func(fields []string) {
		uid, uerr := strconv.Atoi(fields[2])
		gid, gerr := strconv.Atoi(fields[3])
		if _, twice := f.passwd[fields[0]]; uerr == nil && gerr == nil && !twice {
			f.passwd[fields[0]] = passwdEntry{uid, gid}
		}
	})
	if err != nil {
		return nil, err
	}
	err = lines("/etc/shadow", 9, func(fields []string) {
		if _, twice := f.shadow[fields[0]]; !twice {
			f.shadow[fields[0]] = shadowEntry{password: fields[1], expire: fields[7]}
		}
	})
	if err != nil {
		return nil, err
	}
	err = lines("/etc/group", 4, func(fields []string) {
		if gid, err := strconv.Atoi(fields[2]); err == nil {
			f.groups = append(f.groups, group{fields[0], gid, strings.Split(fields[3], ",")})
		}
	})
	if err != nil {
		return nil, err
	}
	// A host without login.defs has the usual limit.
	if defs, err := state.Read("/etc/login.defs", maxFile); err == nil {
		for line := range strings.Lines(string(defs)) {
			if words := strings.Fields(line); len(words) == 2 && words[0] == "UID_MIN" {
				if n, err := strconv.Atoi(words[1]); err == nil {
					f.uidMin = n
				}
			}
		}
	}
	return f, nil
}

// lines calls use with the fields of each line that has that many.
func lines(path string, fields int, use func([]string)) error {
	text, err := state.Read(path, maxFile)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if all := strings.Split(strings.TrimSuffix(line, "\n"), ":"); len(all) == fields {
			use(all)
		}
	}
	return nil
}

// renamed returns the name that an account of that number, which has the mark, has by now, "" for none.
func (f *files) renamed(uid int) string {
	for name, entry := range f.passwd {
		if entry.uid == uid && f.shadow[name].expire == mark {
			return name
		}
	}
	return ""
}

// daemons are the accounts of OSSEC and Wazuh themselves.
var daemons = []string{"ossec", "ossecm", "ossecr", "ossece", "wazuh"}

// nobody is the uid of processes without rights, and no account of anybody.
const nobody = 65534

// refused returns why an account is never locked, as *enforcer.Refused; nil when it may be. The
// name came from outside and is not repeated.
func (e *Enforcer) refused(f *files, name string) error {
	why := func(format string, args ...any) error { return &enforcer.Refused{Why: fmt.Sprintf(format, args...)} }
	entry, exists := f.passwd[name]
	_, shadowed := f.shadow[name]
	switch {
	case name == "" || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "+") || !exists || !shadowed:
		return why("no local account has this name")
	case entry.uid == 0:
		return why("uid 0 is never locked")
	case entry.uid < f.uidMin || entry.uid == nobody:
		return why("system accounts are never locked (uid %d)", entry.uid)
	case slices.Contains(daemons, name):
		return why("an account of the daemons themselves")
	case slices.Contains(e.settings.Never, name):
		return why("account.never names it")
	}
	for _, protected := range e.settings.ProtectedGroups {
		if f.member(name, entry.gid, protected) {
			return why("a member of %s (account.protected_groups)", protected)
		}
	}
	return nil
}

// member reports whether an account, of which gid is the primary group, is in the group of that name.
// Who is in another group of the same number is: the kernel knows numbers.
func (f *files) member(name string, gid int, of string) bool {
	for _, g := range f.groups {
		same := func(other group) bool {
			return other.gid == g.gid && slices.Contains(other.members, name)
		}
		if g.name == of && (g.gid == gid || slices.ContainsFunc(f.groups, same)) {
			return true
		}
	}
	return false
}
