package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// commands are what the scripts have beside testscript's own.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"tool":     tool,
	"untool":   untool,
	"count":    count,
	"logline":  logline,
	"manual":   manual,
	"atonce":   atOnce,
	"unread":   unread,
	"blocks":   blocks,
	"truncate": truncate,
	"daemon":   daemon,
	"home":     home,
	"services": services,
}

// tool FILE NAME... puts the program FILE in the place of the system's programs NAME.
// With ! and no file it takes them away.
func tool(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		for _, name := range args {
			ts.Check(isolate.Remove(name))
		}
		return
	}
	content := ts.ReadFile(args[0])
	for _, name := range args[1:] {
		ts.Check(isolate.Replace(name, []byte(content)))
	}
}

// untool NAME... puts the system's own programs back.
func untool(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ts.Check(isolate.Restore(name))
	}
}

// count N PATTERN FILE checks how many lines of a file match.
func count(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: count N PATTERN FILE")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[2])) {
		if re.MatchString(strings.TrimSuffix(line, "\n")) {
			n++
		}
	}
	if (fmt.Sprint(n) == args[0]) == neg {
		ts.Fatalf("%d lines of %s match %q, not %s:\n%s", n, args[2], args[1], args[0], ts.ReadFile(args[2]))
	}
}

// helpEntry is a command or an option in a help text, and what it does.
var helpEntry = regexp.MustCompile(`(?m)^   (\S.*?)  +(\S.*(?:\n {4,}\S.*)*)`)

// manual PAGE PROGRAM checks that a manual page has all commands of a program, and its options: those that
// have a line of their own in the words of the help.
func manual(ts *testscript.TestScript, neg bool, args []string) {
	page := regexp.MustCompile(`\\f.|\\&|(?m)^\.[A-Z]+`).ReplaceAllString(ts.ReadFile(args[0]), "")
	page = strings.Join(strings.Fields(strings.ReplaceAll(page, `\-`, "-")), " ")
	ask := func(words ...string) string {
		ts.Check(ts.Exec(args[1], words...))
		return ts.ReadFile("stdout")
	}
	found := 0
	var look func(words []string)
	look = func(words []string) {
		help := ask(append(words, "--help")...)
		_, list, has := strings.Cut(help, "\nCOMMANDS:\n") // with the options behind it
		if !has {
			_, list, _ = strings.Cut(help, "OPTIONS:\n")
		}
		for _, e := range helpEntry.FindAllStringSubmatch(list, -1) {
			does, _, _ := strings.Cut(strings.Join(strings.Fields(e[2]), " "), " (default:")
			inWords := e[1][0] != '-' || strings.Contains(page, "["+e[1]) // a command, or in the line of one
			if found++; !strings.Contains(page, e[1]) || !inWords && !strings.Contains(page, does) {
				ts.Fatalf("%s has no %s: %s", args[0], e[1], does)
			}
		}
		for _, name := range strings.Fields(ask(append(append([]string{"__complete"}, words...), "")...)) {
			if has && name != "report" && name != "help" { // that is another program, and this one again
				look(append(words, name))
			}
		}
	}
	look(nil)
	if found < 20 {
		ts.Fatalf("only %d commands and options found", found)
	}
}

// logline TEXT checks that the last line of the response log is a date, the path of a
// program under $BIN, and TEXT, to the letter.
func logline(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("var/ossec/logs/active-responses.log")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	last := lines[len(lines)-1]
	stamp := regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d UTC \d{4} `)
	rest := strings.Replace(last, ts.Getenv("BIN")+"/", "", 1)
	if got := stamp.ReplaceAllString(rest, ""); got != strings.Join(args, " ") || got == rest {
		ts.Fatalf("last log line is\n%s\nwant a date, the path, and\n%s", last, strings.Join(args, " "))
	}
}

// blocks N4 N6 checks how many addresses of each family the kernel drops: by a rule of the
// chain or as a member of the set that the chain drops.
func blocks(ts *testscript.TestScript, neg bool, args []string) {
	for i, family := range []struct{ program, set string }{{"iptables", "ossec_ar4"}, {"ip6tables", "ossec_ar6"}} {
		rules, _ := exec.Command("/usr/sbin/"+family.program, "-S", "OSSEC_AR").Output() // no chain: no rule
		n := strings.Count(string(rules), "-A OSSEC_AR -s ")
		var members []byte
		if strings.Contains(string(rules), "--match-set "+family.set+" src -j DROP") {
			var err error
			members, err = exec.Command("/usr/sbin/ipset", "save", family.set).Output()
			ts.Check(err)
			n += strings.Count(string(members), "add "+family.set+" ")
		}
		if fmt.Sprint(n) != args[i] {
			ts.Fatalf("%s: %d blocks, want %s:\n%s%s", family.program, n, args[i], rules, members)
		}
	}
}

// unread stdout|stderr PROGRAM ARGS... runs a program, its standard input from the file
// "stdin" if there is one, when nobody reads what it writes there any more.
func unread(ts *testscript.TestScript, neg bool, args []string) {
	reader, writer, err := os.Pipe()
	ts.Check(err)
	ts.Check(reader.Close())
	defer writer.Close() // nothing was written
	cmd := exec.Command(filepath.Join(ts.Getenv("BIN"), args[1]), args[2:]...)
	cmd.Env = []string{"OSSEC_HOME=" + ts.Getenv("OSSEC_HOME"), "TZ=UTC"}
	if in, err := os.Open(ts.MkAbs("stdin")); err == nil {
		defer in.Close() // only read from
		cmd.Stdin = in
	}
	switch args[0] {
	case "stdout":
		cmd.Stdout = writer
	case "stderr":
		cmd.Stderr = writer
	}
	if err := cmd.Run(); (err == nil) == neg {
		ts.Fatalf("%v: %v", args, err)
	}
}

// atonce N PROGRAM ARGS... runs a program N times at once; {} in an argument becomes the
// number of the run. All must exit 0.
func atOnce(ts *testscript.TestScript, neg bool, args []string) {
	var n int
	_, err := fmt.Sscan(args[0], &n)
	ts.Check(err)
	runs := make([]*exec.Cmd, n)
	for i := range runs {
		var argv []string
		for _, a := range args[2:] {
			argv = append(argv, strings.ReplaceAll(a, "{}", fmt.Sprint(i+1)))
		}
		runs[i] = exec.Command(filepath.Join(ts.Getenv("BIN"), args[1]), argv...)
		runs[i].Dir = "/"
		runs[i].Env = []string{"TZ=UTC"}
		ts.Check(runs[i].Start())
	}
	for i, cmd := range runs {
		if err := cmd.Wait(); err != nil {
			ts.Fatalf("run %d of %s: %v", i+1, args[1], err)
		}
	}
}

// truncate SIZE FILE cuts a file off, or makes one, or fills it up with zeros.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	var size int64
	_, err := fmt.Sscan(args[0], &size)
	ts.Check(err)
	path := ts.MkAbs(args[1])
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	ts.Check(f.Truncate(size))
	ts.Check(f.Close())
}
