package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
	"github.com/ossec-ar/ossec-ar/internal/printable/printabletest"
)

// TestInstallerHostile: whatever Wazuh's account leaves where it may write, install.sh ends, writes nothing
// elsewhere and shows nothing of it, and the suite can be installed, taken out and purged all the same.
// AR_HOSTILE_SEEDS is how many homes are tried.
func TestInstallerHostile(t *testing.T) {
	if os.Getenv(programsVariable) == "" {
		t.Setenv(programsVariable, build(t))
	}
	seeds, err := strconv.ParseUint(os.Getenv("AR_HOSTILE_SEEDS"), 10, 64)
	if err != nil {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			if isolate.Test(t) {
				hostileHome(t, rand.New(rand.NewPCG(seed, 0)))
			}
		})
	}
}

func hostileHome(t *testing.T, random *rand.Rand) {
	if !isolate.Root() {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	conf, err := os.ReadFile("homes/wazuh-manager.conf")
	if err := errors.Join(err, isolate.Overlay("/usr"),
		release(path("suite"), "..", os.Getenv(programsVariable)+"/cmd"),
		lay(path("home"), append(layouts["wazuh-manager"], layout{{0o660, true, "etc/ossec.conf", ""}}...)),
		os.WriteFile(path("home/etc/ossec.conf"), conf, 0o660), os.MkdirAll(path("victim/folder"), 0o755),
		os.WriteFile(path("victim/shadow"), []byte("root:s3cret:19000\n"), 0o600),
		os.WriteFile(path("victim/folder/precious"), []byte("s3cret"), 0o600)); err != nil {
		t.Fatal(err)
	}
	before := tree(t, path("victim"))
	install := func(must bool, words string) {
		t.Helper()
		planted := plant(t, random, path("home"), path("victim"))
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		args := append([]string{path("suite/install.sh"), "--home", path("home"), "--no-deps"}, strings.Fields(words)...)
		cmd := exec.CommandContext(ctx, "sh", args...)
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil || err != nil && must {
			t.Errorf("install.sh %s: %v, after %q\n%s", words, err, planted, out)
		}
		printabletest.Check(t, words, string(out))
		if strings.Contains(string(out), "s3cret") {
			t.Errorf("install.sh %s shows a secret, after %q\n%s", words, planted, out)
		}
		if after := tree(t, path("victim")); after != before {
			t.Fatalf("install.sh %s: now\n%s\nand was\n%s\nafter %q", words, after, before, planted)
		}
	}
	install(true, "")
	install(false, "--configure --whitelist 203.0.113.10")
	install(true, "")
	install(true, "--uninstall")
	install(true, "")
	install(true, "--purge")
	for _, name := range []string{"bin/ossec-ar", "active-response/bin/host-deny.sh", "active-response/stock"} {
		if _, err := os.Lstat(path("home/" + name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	data, err := os.ReadFile(path("home/active-response/bin/firewall-drop"))
	if err != nil || string(data) != stock {
		t.Errorf("the stock program is now %q, %v", data, err)
	}
}

// Where the account may write, and what is read or written there, beside names that a shell could take for
// something else.
var (
	accounts = []string{
		"etc", "etc/rules", "etc/shared", "etc/whitelist.d", "logs", "logs/alerts", "var", "var/run", "queue/alerts",
	}
	known = []string{
		"ossec.conf", "local_rules.xml", "ossec_ar_rules.xml", "ar.conf", "active-response.toml", "whitelist.d",
		"client.keys", "ossec-ar.list", "ossec.conf.ossec-ar-backup-20261127-175400",
		"ossec.conf.ossec-ar-backup-x", "rules", "shared", "active-responses.log", "active-responses.log.1",
		"active-responses.json", "active-responses.json.1", "notifications.log", "notifications.log.1.gz",
		"response-stats.log", "response-stats.log.x", "active-response", "run", "ossec.log",
	}
	strange = []string{
		"a\nb", "\n", " ", "-rf", "--help", "*", "?", "$(touch x)", "`touch x`", "x;touch x", "'", "\"", "\\",
		"\xff\xfe", "\x1b[2J", "..x", "notifications.log -rf", "notifications.log\n--rf", strings.Repeat("l", 255),
	}
)

// plant leaves some things, and returns what.
func plant(t *testing.T, random *rand.Rand, home, victim string) (planted []string) {
	for range 12 {
		names := known
		if random.IntN(3) == 0 {
			names = strange
		}
		at := filepath.Join(home, accounts[random.IntN(len(accounts))])
		path := filepath.Join(at, names[random.IntN(len(names))])
		if info, err := os.Lstat(at); err != nil || !info.IsDir() {
			continue
		}
		kind := random.IntN(9)
		planted = append(planted, fmt.Sprintf("%d %s", kind, path))
		err := os.RemoveAll(path)
		switch kind {
		case 0:
			err = errors.Join(err, os.Mkdir(path, 0o777), os.WriteFile(path+"/x", nil, 0o666))
		case 1:
			err = errors.Join(err, os.Symlink(victim+"/shadow", path))
		case 2:
			err = errors.Join(err, os.Symlink(victim+"/folder", path))
		case 3:
			err = errors.Join(err, os.Symlink(victim+"/new", path))
		case 4:
			err = errors.Join(err, syscall.Mkfifo(path, 0o666))
		case 5:
			err = errors.Join(err, os.WriteFile(path, make([]byte, 1<<20), 0o666))
		case 6:
			err = errors.Join(err, os.WriteFile(path, []byte(strings.Repeat("<ossec_config>", 1<<16)), 0o666))
		case 7:
			err = errors.Join(err, os.WriteFile(path, []byte("\x1b[2J\u202e\n--rf\n$(touch x)\n"), 0o666))
		case 8:
			err = errors.Join(err, os.WriteFile(path, nil, 0), os.Truncate(path, 1<<40))
		}
		if err := errors.Join(err, os.Lchown(path, daemonsID, daemonsID)); err != nil {
			t.Fatal(err)
		}
	}
	return planted
}

// tree returns what is in a folder: names, modes, owners and contents.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		var text []byte
		if info.Mode().IsRegular() {
			if text, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		fmt.Fprintf(&b, "%s %s %d:%d %q\n", path, info.Mode(), stat.Uid, stat.Gid, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
