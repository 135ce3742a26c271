package rehearsal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
	_ "github.com/ossec-ar/ossec-ar/internal/isolate/umask"
	"github.com/ossec-ar/ossec-ar/internal/rehearsal"
)

// newHome makes a home with daemons that do what these scripts do.
func newHome(t *testing.T, daemons map[string]string) (path func(string) string) {
	t.Helper()
	home := t.TempDir()
	path = func(name string) string { return filepath.Join(home, name) }
	for _, dir := range []string{"bin", "etc/shared", "etc/rules", "logs"} {
		if err := os.MkdirAll(path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path("etc/ossec.conf"), "sound")
	write(t, path("etc/shared/ar.conf"), "live")
	for name, script := range daemons {
		write(t, path("bin/"+name), "#!/bin/sh\n"+script)
		if err := os.Chmod(path("bin/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// analysisd does as the real one: it writes in the home that it is given, or in the one that it is in.
const analysisd = `home=${5-$(dirname "$0")/..}
: >"$home/etc/shared/ar.conf"
echo tested >>"$home/logs/ossec.log"
! grep -q broken "$3" || { echo "2026/11/27 14:44:48 $0(1202): ERROR: broken in $3" >&2; exit 1; }
[ ! -e "$home/etc/rules/bad.xml" ] || { echo "2026/11/27 14:44:48 rules_list: bad" >&2; exit 1; }`

// TestRun: the daemons' answer, and nothing in the home is touched.
func TestRun(t *testing.T) {
	conf := func(text string) map[string][]byte { return map[string][]byte{"etc/ossec.conf": []byte(text)} }
	for _, name := range []string{"ossec-analysisd", "wazuh-analysisd"} {
		t.Run(name, func(t *testing.T) {
			path := newHome(t, map[string]string{name: analysisd})
			for _, test := range []struct {
				name    string
				changed map[string][]byte
				want    string
			}{
				{"as it is", nil, ""},
				{"another", conf("other"), ""},
				{"a broken one", conf("broken"), "the daemon would not start: /bin/" + name +
					"(1202): ERROR: broken in /etc/ossec.conf"},
				{"a bad file beside it", map[string][]byte{"etc/rules/bad.xml": {}},
					"the daemon would not start: rules_list: bad"},
				{"a file that goes", map[string][]byte{"etc/rules/bad.xml": nil}, ""},
			} {
				err := rehearsal.Run(t.Context(), path(""), test.changed)
				if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, rehearsal.ErrRefused) ||
					err.Error() != test.want) {
					t.Errorf("%s: got %v, want %q", test.name, err, test.want)
				}
			}
			if data, err := os.ReadFile(path("etc/shared/ar.conf")); err != nil || string(data) != "live" {
				t.Errorf("ar.conf reads %q, %v", data, err)
			}
			if _, err := os.Stat(path("logs/ossec.log")); err == nil {
				t.Error("the live log was written")
			}
			if left, _ := filepath.Glob(path(".*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestRunCannotAsk: that is another error than a refusal.
func TestRunCannotAsk(t *testing.T) {
	path := newHome(t, nil)
	if err := rehearsal.Run(t.Context(), path(""), nil); err != nil {
		t.Errorf("no daemons: %v", err)
	}
	for name, script := range map[string]string{
		"an option that it does not know": "echo 'invalid option -- t' >&2; exit 1",
		"killed":                          "kill -9 $$",
	} {
		path := newHome(t, map[string]string{"ossec-execd": script})
		if err := rehearsal.Run(t.Context(), path(""), nil); err == nil || errors.Is(err, rehearsal.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path = newHome(t, map[string]string{"ossec-execd": "echo run >&2; exit 1"})
	if err := os.Chmod(path("bin/ossec-execd"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := rehearsal.Run(t.Context(), path(""), nil); err == nil || errors.Is(err, rehearsal.ErrRefused) ||
		strings.Contains(err.Error(), "run ") {
		t.Errorf("a daemon that others can write was asked: %v", err)
	}
}

// TestRunCopiesPlainFiles: no pipe is waited for, and no link in a folder of the daemons' leads elsewhere.
func TestRunCopiesPlainFiles(t *testing.T) {
	path := newHome(t, map[string]string{"wazuh-analysisd": "cd $(dirname $0)/..; ! grep -Rs secret etc >&2"})
	secret := filepath.Join(t.TempDir(), "shadow")
	write(t, secret, "secret")
	if err := errors.Join(syscall.Mkfifo(path("etc/pipe"), 0o660), os.Symlink(secret, path("etc/link")),
		os.Symlink(filepath.Dir(secret), path("etc/lists"))); err != nil {
		t.Fatal(err)
	}
	if err := rehearsal.Run(t.Context(), path(""), nil); err != nil {
		t.Error(err)
	}
}

// TestRunSecrets: no key or password is in the copy, which a killed run leaves; the next one removes that.
func TestRunSecrets(t *testing.T) {
	path := newHome(t, map[string]string{"ossec-agentd": `cd "$(dirname "$0")/.."
if grep -rl s3cret etc >&2; then exit 1; fi
grep -q '^001 ' etc/client.keys || { echo "no keys" >&2; exit 1; }`})
	for _, name := range []string{"client.keys", "authd.pass", "sslmanager.key"} {
		write(t, path("etc/"+name), "001 web any s3cret\n")
	}
	old, recent := path(".ossec-ar-rehearsal-1/etc"), path(".ossec-ar-rehearsal-2")
	long := time.Now().Add(-time.Hour)
	if err := errors.Join(os.MkdirAll(old, 0o700), os.Mkdir(recent, 0o700),
		os.Chtimes(filepath.Dir(old), long, long)); err != nil {
		t.Fatal(err)
	}
	if err := rehearsal.Run(t.Context(), path(""), nil); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path(".*")); !slices.Equal(left, []string{recent}) {
		t.Errorf("copies: %q, want the one that may be in use", left)
	}
	write(t, path("etc/client.keys"), "")
	if err := rehearsal.Run(t.Context(), path(""), nil); !errors.Is(err, rehearsal.ErrRefused) {
		t.Errorf("without keys: %v", err)
	}
}

// TestRunRootsAlone: nobody but root can write in the copy, who so would be led elsewhere by a link.
func TestRunRootsAlone(t *testing.T) {
	if !isolate.Root() {
		t.Skip("only root gives files away")
	}
	path := newHome(t, map[string]string{"wazuh-analysisd": `cd "$(dirname "$0")/.."
if find . ! -type l -perm /022 | grep . >&2 || find . -user 54321 | grep . >&2; then exit 1; fi
find etc/of-wazuh/file -group 54321 -perm -g+r | grep -q . || { echo "the daemons cannot read it" >&2; exit 1; }`})
	if err := errors.Join(os.Mkdir(path("etc/of-wazuh"), 0o700), os.Chmod(path("etc"), 0o770),
		os.Chmod(path("etc/ossec.conf"), 0o660)); err != nil {
		t.Fatal(err)
	}
	write(t, path("etc/of-wazuh/file"), "")
	for _, name := range []string{"etc", "etc/of-wazuh", "etc/of-wazuh/file", "etc/rules"} {
		if err := os.Chown(path(name), 54321, 54321); err != nil {
			t.Fatal(err)
		}
	}
	if err := rehearsal.Run(t.Context(), path(""), nil); err != nil {
		t.Error(err)
	}
}

// TestRunBounded: what others leave in etc does not fill the disk.
func TestRunBounded(t *testing.T) {
	path := newHome(t, map[string]string{"wazuh-analysisd": "exit 0"})
	write(t, path("etc/hole"), "")
	if err := os.Truncate(path("etc/hole"), 1<<40); err != nil {
		t.Skip(err) // the file system has no files of that size
	}
	err := rehearsal.Run(t.Context(), path(""), nil)
	if err == nil || errors.Is(err, rehearsal.ErrRefused) ||
		!strings.Contains(err.Error(), "more than 20000 files or 256 MiB") {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path(".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
