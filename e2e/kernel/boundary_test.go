package kernel

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asAccount are what an account tries that owns a home's etc and logs, as Wazuh's does; $1 is the home,
// $2 a secret of root's, $3 a folder of the account's own.
const asAccount = `
set -e
cd "$1/etc"
rm -f active-response.toml ossec.conf
printf '#!/bin/sh\n/bin/touch %s/ran\n' "$3" >"$3/sendmail"
chmod 755 "$3/sendmail"
cat >active-response.toml <<END
[mail]
to = ["x@example.org"]
smtp_server = "$3/sendmail"
text_template = "$2"
[host_deny]
file = "/etc/victim"
[whitelist]
files = ["$2"]
loopback = false
END
cat >ossec.conf <<END
<ossec_config><global><email_to>x@example.org</email_to><smtp_server>$3/sendmail</smtp_server></global></ossec_config>
END
mkdir -p whitelist.d shared
ln -sf "$2" whitelist.d/secret
ln -sf "$2" shared/ar.conf
mkfifo whitelist.d/pipe
rm -f ../logs/active-responses.log ../logs/notifications.log
mkfifo ../logs/active-responses.log
ln -s /etc/victim ../logs/notifications.log
`

// TestDaemonsAccount: with all that Wazuh's own account may write, it gets root to run nothing, to write
// nothing elsewhere, to show nothing of a secret, and to wait for nothing; addresses are blocked all the
// same.
func TestDaemonsAccount(t *testing.T) {
	const account = 54321
	if !Isolated(t) {
		return
	}
	needRoot(t, "the daemons' account is another user")
	bin := buildPrograms(t)
	h := home(bin)
	secret, own := filepath.Join(t.TempDir(), "secret"), t.TempDir()
	must(t, errors.Join(os.WriteFile(secret, []byte("root:s3cret:19000\nhunter2 - x\nhunter2token\n"), 0o600),
		os.MkdirAll(filepath.Join(h, "etc"), 0o770), os.MkdirAll(filepath.Join(h, "logs"), 0o770)))
	for _, dir := range []string{filepath.Join(h, "etc"), filepath.Join(h, "logs"), own} {
		must(t, errors.Join(os.Chmod(dir, 0o770), os.Chown(dir, account, account)))
	}
	passable(t, filepath.Dir(own))
	passable(t, h)
	attack := exec.Command("/bin/sh", "-c", asAccount, "sh", h, secret, own)
	attack.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: account, Gid: account}}
	if out, err := attack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	var said strings.Builder
	call := func(program string, args ...string) {
		out, _ := exec.Command(program, args...).CombinedOutput() // it may fail, and must end
		said.Write(out)
	}
	call(filepath.Join(bin, "host-deny"), "add", "-", "203.0.113.7", "1.1", "5712")
	call(filepath.Join(bin, "host-deny"), "add", "-", "127.0.0.1", "1.1", "5712")
	call(filepath.Join(bin, "email-notification"), "add", "-", "203.0.113.7", "1.1", "5712")
	for _, words := range []string{"check", "maintain", "mail flush", "mail test", "mail preview", "whitelist list",
		"whitelist refresh", "whitelist test 203.0.113.7", "status", "show 203.0.113.7"} {
		call(filepath.Join(h, "bin/ossec-ar"), strings.Fields(words)...)
	}
	deny, err := os.ReadFile("/etc/hosts.deny")
	must(t, err)
	if !strings.Contains(string(deny), "ALL:203.0.113.7\n") || strings.Contains(string(deny), "127.0.0.1") {
		t.Errorf("hosts.deny:\n%s", deny)
	}
	for _, path := range []string{filepath.Join(own, "ran"), "/etc/victim"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was made", path)
		}
	}
	if text := said.String(); strings.Contains(text, "s3cret") || strings.Contains(text, "hunter2") {
		t.Errorf("the secret is shown:\n%s", text)
	}
}

// TestSizeLimit: a limit on the size of files that the daemon handed down keeps no response from its work.
func TestSizeLimit(t *testing.T) {
	if !Isolated(t) {
		return
	}
	bin := buildPrograms(t)
	for _, name := range []string{"firewall-drop.sh", "host-deny.sh", "route-null.sh"} {
		program := filepath.Join(bin, name)
		cmd := exec.Command("/bin/sh", "-c", "ulimit -S -f 0; exec \"$@\"", "sh", program, "add", "-", "203.0.113.7", "1.0", "5712")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if log := logOf(t, program); !strings.Contains(log, name+" add - 203.0.113.7 ") {
			t.Errorf("%s is not in the log:\n%s", name, log)
		}
		agrees(t, program)
	}
}
