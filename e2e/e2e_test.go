// Package e2e runs scripts against the real programs: what a user or a daemon does, and
// what they see. The programs are built once with the tag artest, which lets fakes stand
// for iptables and the like, so that no root and no firewall is needed.
//
// In a script, the home is $WORK/var/ossec. $BIN is its active-response/bin, where all
// programs and their aliases are; it is on the PATH. fake NAME... puts stand-ins into
// $WORK/tools, where the programs look for tools.
package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ossec-ar/ossec-ar/internal/firewall/faketables"
)

// aliases are the names that the programs are also called by, as install.sh links them.
var aliases = map[string][]string{
	"firewall-drop":      {"firewall-drop.sh", "custom-firewall-drop.sh"},
	"host-deny":          {"host-deny.sh"},
	"route-null":         {"route-null.sh"},
	"email-notification": {"email-notification.sh"},
	"response-stats":     {"response-stats.sh"},
}

func TestMain(m *testing.M) {
	if slices.Contains(faketables.Programs, filepath.Base(os.Args[0])) {
		os.Exit(faketables.Main(os.Args[0], os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if filepath.Base(os.Args[0]) == standIn {
		daemonMain()
		return
	}
	// install.sh believes nothing of what a group may write to.
	syscall.Umask(0o022)
	os.Exit(m.Run())
}

// build builds all programs into a folder that is theirs alone.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "artest urfave_cli_no_docs", "-o", dir, "../cmd/...", "../examples/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	return dir
}

func TestScripts(t *testing.T) {
	programs := build(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	goEnv := goEnvironment(t)
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			bin := filepath.Join(env.WorkDir, "var/ossec/active-response/bin")
			env.Setenv("BIN", bin)
			env.Setenv("OSSEC_HOME", filepath.Join(env.WorkDir, "var/ossec"))
			env.Setenv("HOME_DIR", filepath.Join(env.WorkDir, "var/ossec"))
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("AR_TEST_TOOLS", filepath.Join(env.WorkDir, "tools"))
			env.Setenv("TZ", "UTC")
			env.Setenv("SOURCE", source)
			env.Vars = append(env.Vars, goEnv...)
			env.Values[daemonKey{}] = &runningDaemon{}
			return install(programs, bin)
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fake":     func(ts *testscript.TestScript, neg bool, args []string) { fake(ts, self, args) },
			"count":    count,
			"logline":  logline,
			"atonce":   atOnce,
			"unread":   unread,
			"blocks":   blocks,
			"truncate": truncate,
			"daemon":   daemon(self),
		},
	})
}

// goEnvironment keeps the go command that install.sh runs from building everything anew.
func goEnvironment(t *testing.T) []string {
	t.Helper()
	var vars []string
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		vars = append(vars, name+"="+strings.TrimSpace(string(value)))
	}
	return vars
}

// install links the programs and their aliases into bin.
func install(programs, bin string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(programs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Link(filepath.Join(programs, e.Name()), filepath.Join(bin, e.Name())); err != nil {
			return err
		}
		for _, alias := range aliases[e.Name()] {
			if err := os.Symlink(e.Name(), filepath.Join(bin, alias)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fake NAME... puts stand-ins for iptables and its family into $WORK/tools.
func fake(ts *testscript.TestScript, self string, names []string) {
	dir := ts.MkAbs("tools")
	ts.Check(os.MkdirAll(dir, 0o755))
	if len(names) == 0 {
		names = faketables.Programs
	}
	for _, name := range names {
		in, err := os.Open(self)
		ts.Check(err)
		out, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY, 0o755)
		ts.Check(err)
		_, err = io.Copy(out, in)
		ts.Check(err)
		ts.Check(out.Close())
		ts.Check(in.Close())
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

// blocks N4 N6 checks how many rules of ours the fake kernel holds.
func blocks(ts *testscript.TestScript, neg bool, args []string) {
	for i, name := range []string{"iptables", "ip6tables"} {
		out, err := exec.Command(ts.MkAbs("tools/"+name), "-S").Output()
		ts.Check(err)
		if got := fmt.Sprint(strings.Count(string(out), "-A OSSEC_AR -s ")); got != args[i] {
			ts.Fatalf("%s holds %s blocks, want %s:\n%s", name, got, args[i], out)
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
	cmd.Env = []string{"OSSEC_HOME=" + ts.Getenv("OSSEC_HOME"), "AR_TEST_TOOLS=" + ts.Getenv("AR_TEST_TOOLS"), "TZ=UTC"}
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
	commands := make([]*exec.Cmd, n)
	for i := range commands {
		var argv []string
		for _, a := range args[2:] {
			argv = append(argv, strings.ReplaceAll(a, "{}", fmt.Sprint(i+1)))
		}
		commands[i] = exec.Command(filepath.Join(ts.Getenv("BIN"), args[1]), argv...)
		commands[i].Dir = "/"
		commands[i].Env = []string{"AR_TEST_TOOLS=" + ts.Getenv("AR_TEST_TOOLS"), "TZ=UTC"}
		ts.Check(commands[i].Start())
	}
	for i, cmd := range commands {
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
