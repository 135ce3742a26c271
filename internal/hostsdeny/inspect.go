package hostsdeny

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// Inspect returns whether the file can have an effect: whether libwrap reads it as it is
// meant, and whether hosts.allow lets in beforehand whom it denies. It changes nothing.
func (e *Enforcer) Inspect(context.Context, string) []enforcer.Finding {
	found := []enforcer.Finding{e.inspectFile()}
	if !e.form.allow {
		found = append(found, inspectAllow(filepath.Join(filepath.Dir(e.file.Path), "hosts.allow")))
	}
	return found
}

func (e *Enforcer) inspectFile() enforcer.Finding {
	f := enforcer.Finding{What: filepath.Base(e.file.Path), Verdict: enforcer.Fault}
	if err := e.form.check(); err != nil {
		f.Found, f.Mend = err.Error(), "correct daemons in [host_deny] of etc/active-response.toml"
		return f
	}
	if _, err := os.Stat(e.file.Path); errors.Is(err, os.ErrNotExist) {
		f.Verdict, f.Found = enforcer.OK, "there is none yet: the first block makes "+e.file.Path
		return f
	}
	now, err := linefile.Load(e.file.Path)
	if err != nil {
		f.Found, f.Mend = err.Error(), "make "+e.file.Path+" a plain file that root can write to"
		return f
	}
	defer now.Close()
	if linefile.MissingEnd(now.Content) != nil {
		f.Found, f.Mend = e.file.Path+": its last line has no end, by which libwrap denies everybody",
			"echo >> "+e.file.Path
		return f
	}
	if n := longLine(now.Content); n > 0 {
		f.Found = fmt.Sprintf("%s:%d: the line, with those that continue it, has %d bytes or more, "+
			"by which libwrap denies everybody", e.file.Path, n, maxLibwrapLine)
		f.Mend = fmt.Sprintf("divide line %d of %s", n, e.file.Path)
		return f
	}
	f.Verdict, f.Found = enforcer.OK, fmt.Sprintf("%s can be read; entries of the form %q: %d", e.file.Path,
		e.form.daemons+":ADDRESS", len(e.form.entries(now.Content)))
	return f
}

// maxLibwrapLine is how long a line of libwrap's may not be, in bytes without its end
// (7.6.q, asked through tcpdmatch).
const maxLibwrapLine = 2047

// longLine returns the number of the first line that is too long for libwrap, 0 for none.
func longLine(content []byte) int {
	n, first, length := 0, 1, 0
	for line := range bytes.Lines(content) {
		n++
		part, whole := bytes.CutSuffix(line, []byte("\n"))
		part, goesOn := bytes.CutSuffix(part, []byte("\\"))
		if length += len(part); length >= maxLibwrapLine {
			return first
		}
		if !whole || !goesOn {
			first, length = n+1, 0
		}
	}
	return 0
}

// inspectAllow looks for a rule in hosts.allow, which libwrap asks first, that lets
// everybody in, and counts those that let in some.
func inspectAllow(path string) enforcer.Finding {
	f := enforcer.Finding{What: "hosts.allow", Verdict: enforcer.OK}
	content, err := state.Read(path, linefile.MaxSize)
	if errors.Is(err, os.ErrNotExist) {
		f.Found = "there is none"
		return f
	}
	if err != nil {
		return enforcer.Finding{What: f.What, Verdict: enforcer.Fault, Found: err.Error(),
			Mend: "make it a plain file that can be read"}
	}
	n, others := 0, 0
	for line := range bytes.Lines(content) {
		n++
		text := strings.TrimSpace(string(line))
		daemons, clients, ok := strings.Cut(text, ":")
		if !ok || text[0] == '#' {
			continue
		}
		clients, option, _ := strings.Cut(clients, ":")
		names := splitDaemons(clients)
		denies := strings.EqualFold(strings.TrimSpace(option), "deny")
		if denies {
			continue
		}
		if !slices.Contains(names, "ALL") || slices.Contains(names, "EXCEPT") {
			others++
			continue
		}
		f.Found = fmt.Sprintf("%s:%d: %q lets everybody in before hosts.deny is asked", path, n, text)
		f.Mend = fmt.Sprintf("take line %d out of %s, or name in it those who may come in", n, path)
		f.Verdict = enforcer.Warn
		if slices.Contains(splitDaemons(daemons), "ALL") {
			f.Verdict = enforcer.Fault
			return f
		}
	}
	if f.Verdict == enforcer.OK {
		f.Found = path + " lets nobody in"
		if others > 0 {
			f.Found = fmt.Sprintf("%s lets in by %s, which libwrap asks first, also whom hosts.deny denies", path,
				printable.Count(others, "rule"))
		}
	}
	return f
}
