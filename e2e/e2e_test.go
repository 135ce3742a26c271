// Package e2e runs scripts against the real programs: what a user or a daemon does, and
// what they see. The programs are the ones that are shipped, built once, and so are the
// firewall and all tools of the system; but each script has a network, mounts and an /etc of
// its own (see internal/isolate), so that the host never notices.
//
// In a script, the home is $WORK/var/ossec. $BIN is its active-response/bin, where the
// responses and their aliases are, and ossec-ar is in its bin; both are on the PATH.
// $PROGRAMS has all programs as they were built.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// aliases are the names that the programs are also called by, as install.sh links them.
var aliases = map[string][]string{
	"firewall-drop": {
		"firewall-drop.sh", "custom-firewall-drop.sh", "firewalld-drop.sh", "nftables-drop.sh",
	},
	"host-deny":          {"host-deny.sh"},
	"route-null":         {"route-null.sh"},
	"unban":              {"unban.sh"},
	"allow":              {"allow.sh"},
	"disable-account":    {"disable-account.sh", "custom-disable-account.sh"},
	"ip-customblock":     {"ip-customblock.sh"},
	"email-notification": {"email-notification.sh"},
	"chat-notification":  {"chat-notification.sh", "ossec-slack.sh", "ossec-pagerduty.sh", "wazuh-slack"},
	"response-stats":     {"response-stats.sh"},
}

// programsVariable holds the folder that was built into, for the processes that run one
// script each. Who sets it beforehand saves the time of building.
const programsVariable = "AR_E2E_PROGRAMS"

func TestMain(m *testing.M) {
	if play := role(filepath.Base(os.Args[0])); play != nil {
		play()
		return
	}
	// install.sh believes nothing of what a group may write to.
	syscall.Umask(0o022)
	os.Exit(m.Run())
}

func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv(programsVariable) == "" {
		t.Setenv(programsVariable, build(t))
		goEnvironment(t)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(script, ".txtar"), func(t *testing.T) {
			t.Parallel()
			if isolate.Test(t) {
				testscript.RunT(inPlace{t}, params(t, script))
			}
		})
	}
}

// inPlace runs a script as the test that it is given.
type inPlace struct{ *testing.T }

func (t inPlace) Run(_ string, script func(testscript.T)) { script(t) }
func (t inPlace) Parallel()                               {}
func (t inPlace) Verbose() bool                           { return testing.Verbose() }

func params(t *testing.T, script string) testscript.Params {
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := t.Deadline() // none is the zero time
	return testscript.Params{
		Files:               []string{script},
		Deadline:            deadline,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			awaitMidnight(time.Now())
			home := filepath.Join(env.WorkDir, "var/ossec")
			bin := filepath.Join(home, "active-response/bin")
			env.Setenv("BIN", bin)
			env.Setenv("OSSEC_HOME", home)
			env.Setenv("HOME_DIR", home)
			env.Setenv("PATH", bin+":"+home+"/bin:"+env.Getenv("PATH")+":/usr/sbin:/sbin")
			env.Setenv("TZ", "UTC")
			env.Setenv("SOURCE", source)
			for _, name := range goVariables {
				env.Setenv(name, os.Getenv(name))
			}
			env.Values[daemonKey{}], env.Values[chatsKey{}] = &daemons{home: home}, &chats{}
			env.Setenv("PROGRAMS", filepath.Join(os.Getenv(programsVariable), "cmd"))
			return install(env.Getenv("PROGRAMS"), home)
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return isolate.Root(), nil
		},
		Cmds: commands,
	}
}

// awaitMidnight returns when the day of UTC does not change within a minute, which no script takes: what it
// blocks and what it reports of today are of one day.
func awaitMidnight(now time.Time) {
	if left := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now); left < time.Minute {
		<-time.After(left)
	}
}

// build builds the programs into the folder cmd of the one that it returns.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "urfave_cli_no_docs", "-o", dir+"/cmd/", "../cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	return dir
}

// goVariables keep the go command that install.sh runs from building everything anew.
var goVariables = []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY"}

func goEnvironment(t *testing.T) {
	t.Helper()
	values, err := exec.Command("go", append([]string{"env"}, goVariables...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range strings.SplitN(string(values), "\n", len(goVariables)) {
		t.Setenv(goVariables[i], strings.TrimSpace(value))
	}
}

// install links the programs and their aliases into a home.
func install(programs, home string) error {
	bin := filepath.Join(home, "active-response/bin")
	entries, err := os.ReadDir(programs)
	if err := errors.Join(err, os.MkdirAll(bin, 0o755), os.MkdirAll(home+"/bin", 0o755)); err != nil {
		return err
	}
	for _, e := range entries {
		folder := bin
		if e.Name() == "ossec-ar" {
			folder = home + "/bin"
		}
		if err := link(filepath.Join(programs, e.Name()), filepath.Join(folder, e.Name())); err != nil {
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

// link links a program, or copies one that is another user's or on another file system.
func link(program, to string) error {
	err := os.Link(program, to)
	if err == nil || errors.Is(err, os.ErrExist) {
		return err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}
