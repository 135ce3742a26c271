package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/account"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// accounts returns the enforcer of accounts, with settings that change may alter. The test is in an
// /etc of its own, as root.
func accounts(t *testing.T, change func(*config.Account)) enforcer.Enforcer {
	t.Helper()
	needRoot(t, "shadow-utils give files to groups")
	settings := config.Default()
	if change != nil {
		change(&settings.Account)
	}
	e, err := account.Kind.New(settings, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// addUser makes an account with a password that nobody knows, and returns its target.
func addUser(t *testing.T, name string, options ...string) target.Target {
	t.Helper()
	command(t, "useradd", append(append([]string{"--password", "$6$salt$hash"}, options...), name)...)
	return target.Account(name)
}

// shadowOf returns the line of an account in /etc/shadow.
func shadowOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name+":") {
			return line
		}
	}
	return ""
}

func block(t *testing.T, e enforcer.Enforcer, who target.Target) {
	t.Helper()
	if _, err := e.Block(t.Context(), who, enforcer.Unknown); err != nil {
		t.Fatalf("Block(%s): %v", who, err)
	}
}

func unblock(t *testing.T, e enforcer.Enforcer, who target.Target) {
	t.Helper()
	if err := e.Unblock(t.Context(), who); err != nil {
		t.Fatalf("Unblock(%s): %v", who, err)
	}
}

// TestAccountContract: real shadow-utils keep the contract of an enforcer.
func TestAccountContract(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e := accounts(t, func(a *config.Account) { a.Max = 100 })
	all := []target.Target{addUser(t, "mallory"), addUser(t, "mallory2")}
	for i := range 41 {
		all = append(all, addUser(t, fmt.Sprintf("user%d", i)))
	}
	enforcertest.ContractOf(t, e, all)
}

// TestAccountGivesBack: what was before comes back to the byte, whatever it was, and what an
// administrator changes meanwhile stays.
func TestAccountGivesBack(t *testing.T) {
	if !Isolated(t) {
		return
	}
	for _, method := range []string{config.AccountBoth, config.AccountLock, config.AccountExpire} {
		e := accounts(t, func(a *config.Account) { a.Method = method })
		for _, was := range []struct{ name, change string }{
			{"plain", ""}, {"locked", "usermod -L"}, {"ends", "usermod -e 2099-01-02"},
			{"ended", "usermod -e 2001-01-02"}, {"both", "usermod -L -e 2001-01-02"}, {"nokey", "usermod -p *"}, {"open", "passwd -q -d"},
		} {
			name := was.name + "-" + method
			who := addUser(t, name)
			if was.change != "" {
				command(t, "sh", "-fc", was.change+" "+name)
			}
			before := shadowOf(t, name)
			block(t, e, who)
			if method != config.AccountLock && !strings.Contains(shadowOf(t, name), ":214:") {
				t.Errorf("%s is not expired: %s", name, shadowOf(t, name))
			}
			unblock(t, e, who)
			if d := cmp.Diff(before, shadowOf(t, name)); d != "" {
				t.Errorf("%s was not given back (-before +after):\n%s", name, d)
			}
		}
	}
	e := accounts(t, nil)
	who := addUser(t, "meanwhile")
	block(t, e, who)
	command(t, "usermod", "-e", "2031-01-01", "meanwhile")
	unblock(t, e, who)
	if got := shadowOf(t, "meanwhile"); !strings.Contains(got, ":22280:") {
		t.Errorf("the administrator's expiry is gone: %s", got)
	}
	who = addUser(t, "maiden")
	before := shadowOf(t, "maiden")
	block(t, e, who)
	command(t, "usermod", "--login", "married", "maiden")
	unblock(t, e, who)
	if d := cmp.Diff(strings.Replace(before, "maiden", "married", 1), shadowOf(t, "married")); d != "" {
		t.Errorf("who was renamed was not given back (-before +after):\n%s", d)
	}
	gone := addUser(t, "gone")
	block(t, e, gone)
	command(t, "userdel", "gone")
	unblock(t, e, gone)
}

// TestAccountChangedMeanwhile: what an administrator changes while an account is locked here is given
// back, also when the account was closed again after that, as ossec-ar maintain does.
func TestAccountChangedMeanwhile(t *testing.T) {
	if !Isolated(t) {
		return
	}
	const day = ":22280:" // 2031-01-01
	for _, c := range []struct{ name, method, was, change, want string }{
		{"expiry", config.AccountBoth, "", "usermod -e 2031-01-01 expiry", ":$6$salt$hash:|" + day},
		{"noentry", config.AccountBoth, "passwd -q -d noentry", "usermod -p $6$new$hash noentry", ":$6$new$hash:"},
		{"noentry2", config.AccountBoth, "passwd -q -d noentry2", "usermod -p !$6$new$hash noentry2", ":$6$new$hash:"},
		{"opened", config.AccountBoth, "usermod -L opened", "usermod -U opened", ":$6$salt$hash:"},
		{"locked", config.AccountExpire, "", "usermod -L locked", ":!$6$salt$hash:"},
	} {
		e := accounts(t, func(a *config.Account) { a.Method = c.method })
		who := addUser(t, c.name)
		run := func(line string) {
			if words := strings.Fields(line); len(words) > 0 {
				command(t, words[0], words[1:]...)
			}
		}
		run(c.was)
		block(t, e, who)
		run(c.change)
		block(t, e, who)
		unblock(t, e, who)
		for want := range strings.SplitSeq(c.want, "|") {
			if got := shadowOf(t, c.name); !strings.Contains(got, want) {
				t.Errorf("%s: %q is not in %s", c.name, want, got)
			}
		}
	}
}

// TestAccountRefuses: attackers choose names, and none of these is locked.
func TestAccountRefuses(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e := accounts(t, func(a *config.Account) { a.Never, a.Max = []string{"boss"}, 2 })
	addUser(t, "boss")
	addUser(t, "second", "--non-unique", "--uid", "0")
	addUser(t, "service", "--system")
	addUser(t, "ossecm")
	command(t, "groupadd", "--force", "sudo")
	addUser(t, "helper", "--groups", "sudo")
	addUser(t, "primary", "--no-user-group", "--gid", "adm")
	command(t, "sh", "-c", `groupadd --non-unique --gid "$(getent group sudo | cut -d : -f 3)" operators`)
	addUser(t, "oper", "--groups", "operators")
	// getpwnam(3) finds the first.
	for _, line := range []string{"twice:x:0:0::/:/bin/sh", "twice:x:4000:100::/:/bin/sh"} {
		command(t, "sh", "-c", "echo '"+line+"' >>/etc/passwd; echo 'twice:x:1:0:99999:7:::' >>/etc/shadow")
	}
	before, err := os.ReadFile("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root", "second", "service", "daemon", "nobody", "ossecm", "boss", "helper",
		"primary", "oper", "twice", "stranger", "-L", "+", "--root", "boss ", "BOSS", "boss:x", "a\nb", "../boss"} {
		_, err := e.Block(t.Context(), target.Account(name), enforcer.Unknown)
		if _, refused := err.(*enforcer.Refused); !refused {
			t.Errorf("Block(%q): %v, want it refused", name, err)
		}
	}
	after, err := os.ReadFile("/etc/shadow")
	if d := cmp.Diff(string(before), string(after)); d != "" || err != nil {
		t.Errorf("%v: /etc/shadow changed:\n%s", err, d)
	}
	block(t, e, addUser(t, "one"))
	block(t, e, addUser(t, "two"))
	_, err = e.Block(t.Context(), addUser(t, "three"), enforcer.Unknown)
	if err == nil || !strings.Contains(err.Error(), "2 accounts are locked already (account.max)") {
		t.Errorf("a third account: %v, want it refused", err)
	}
	unblock(t, e, target.Account("one"))
	block(t, e, target.Account("three"))
}

// TestAccountLogin: a person who can log in by password (su) and by key (sshd) cannot while the
// account is locked, his session ends, and afterwards he can again.
func TestAccountLogin(t *testing.T) {
	if !Isolated(t) {
		return
	}
	for _, program := range []string{"/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/su"} {
		if _, err := os.Stat(program); err != nil {
			needKernel(t, err.Error())
		}
	}
	e := accounts(t, func(a *config.Account) { a.Sessions = true })
	who := addUser(t, "mallory", "--home-dir", t.TempDir(), "--shell", "/bin/sh")
	login := sshLogin(t, "mallory")
	if out, err := login("true").CombinedOutput(); err != nil {
		t.Fatalf("before: %v\n%s", err, out)
	}
	session := login("echo in; exec sleep 600")
	first, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}

	block(t, e, who)
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the session goes on")
	}
	if out, err := login("true").CombinedOutput(); err == nil {
		t.Errorf("a key lets the locked account in\n%s", out)
	}
	if out := suAs(t, "mallory"); strings.Contains(out, "came in") {
		t.Errorf("su lets the locked account in: %s", out)
	}

	unblock(t, e, who)
	if out, err := login("true").CombinedOutput(); err != nil {
		t.Errorf("afterwards: %v\n%s", err, out)
	}
	if out := suAs(t, "mallory"); !strings.Contains(out, "came in") {
		t.Errorf("su afterwards: %s", out)
	}
}

// suAs has root, whom no password is asked, become an account: what su(1) says of it.
func suAs(t *testing.T, name string) string {
	t.Helper()
	out, _ := exec.Command("su", "-c", "echo came in", name).CombinedOutput() // it fails while locked
	return string(out)
}

// sshLogin starts a server of SSH on loopback, and returns how an account runs a command by its key.
func sshLogin(t *testing.T, name string) func(words string) *exec.Cmd {
	t.Helper()
	const dir = "/run/keys" // which others may look into, unlike a test's own folder
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"host", "user"} {
		command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/"+key)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", dir+"/host",
		"-o", "ListenAddress=127.0.0.1", "-o", "Port=2222", "-o", "UsePAM=yes", "-o", "PidFile=none",
		"-o", "AuthorizedKeysFile="+dir+"/user.pub", "-o", "StrictModes=no")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	login := func(words string) *exec.Cmd {
		return exec.Command("ssh", "-F", "/dev/null", "-i", dir+"/user", "-p", "2222", "-o", "BatchMode=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-o", "ConnectionAttempts=60", name+"@127.0.0.1", words)
	}
	return login
}

// TestAccountAfterReboot: an account stays locked over a reboot, is locked again where somebody put old
// files of accounts in place, and is given back when the time is over that its daemon would have waited.
func TestAccountAfterReboot(t *testing.T) {
	if !Isolated(t) {
		return
	}
	needRoot(t, "shadow-utils give files to groups")
	bin := buildPrograms(t)
	program := filepath.Join(bin, "disable-account")
	shared := filepath.Join(home(bin), "etc/shared")
	must(t, errors.Join(os.MkdirAll(shared, 0o755),
		os.WriteFile(shared+"/ar.conf", []byte("disable-account600 - disable-account - 600\n"), 0o600)))
	addUser(t, "mallory")
	before := shadowOf(t, "mallory")
	startDaemon(t, program, "ossec-execd").call(program, "add", "mallory", "-", "1.1", "5712")
	later := func(step string, age time.Duration, locked bool) {
		t.Helper()
		found := all(t, program)
		if len(found) != 1 || found[0].Daemon == nil {
			t.Fatalf("%s: leases %+v", step, found)
		}
		found[0].Daemon.Boot, found[0].Renewed = "another", time.Now().Add(-age)
		put(t, program, found[0])
		heals(t, program)
		if got := shadowOf(t, "mallory"); (got != before) != locked {
			t.Errorf("%s: %s", step, got)
		}
	}
	later("right after a reboot", time.Minute, true)
	command(t, "usermod", "-U", "-e", "", "mallory")
	later("after somebody unlocked it", time.Minute, true)
	later("when its time is over", 11*time.Minute, false)
	wantNone(t, "in the end", program)

	command(t, program, "add", "mallory", "-", "1.2", "5712")
	must(t, os.WriteFile(filepath.Join(home(bin), "var/active-response/disable-account.db"), []byte("damaged"), 0o600))
	command(t, program, "add", "stranger", "-", "1.3", "5712") // which moves the leases aside
	heals(t, program)
	if got := shadowOf(t, "mallory"); got != before {
		t.Errorf("locked, and nothing asks for it any more: %s", got)
	}
}
