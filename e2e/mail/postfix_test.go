package mail

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	master      = "/usr/lib/postfix/sbin/master"
	saslpasswd2 = "/usr/sbin/saslpasswd2"
	// packages are what a Debian system needs for these tests.
	packages = "postfix sasl2-bin libsasl2-modules"
)

// needPostfix skips the test where it cannot run, or fails it where it has to.
func needPostfix(t *testing.T) {
	t.Helper()
	why := ""
	switch {
	case os.Geteuid() != 0:
		why = "not root: Postfix starts as root only"
	default:
		for _, path := range []string{master, saslpasswd2} {
			if _, err := os.Stat(path); err != nil {
				why = path + " is missing: apt-get install " + packages
			}
		}
	}
	if why == "" {
		return
	}
	if os.Getenv("AR_KERNEL_TESTS") == "require" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// postfix is a mail server of its own: its configuration, queue and mailboxes are in one
// folder, it listens on one port of the loopback, and the system's own is left alone.
type postfix struct {
	t    *testing.T
	dir  string
	port int
	ca   string // file of the certificate
	cmd  *exec.Cmd
	out  bytes.Buffer
}

const (
	login    = "mailer"
	password = `s3cret "p&w`
)

func newPostfix(t *testing.T) *postfix {
	t.Helper()
	p := &postfix{t: t, dir: t.TempDir()}
	p.check(os.Chmod(filepath.Dir(p.dir), 0o755)) // Postfix's own users go through it
	l, err := net.Listen("tcp", "127.0.0.1:0")
	p.check(err)
	p.port = l.Addr().(*net.TCPAddr).Port
	p.check(l.Close())
	p.folders()
	p.certificate()
	p.password()
	p.write("etc/main.cf", p.main())
	p.write("etc/master.cf", p.services())
	t.Cleanup(p.stop)
	p.start()
	return p
}

func (p *postfix) check(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *postfix) path(name string) string { return filepath.Join(p.dir, name) }

func (p *postfix) write(name, text string) {
	p.t.Helper()
	p.check(os.MkdirAll(filepath.Dir(p.path(name)), 0o755))
	p.check(os.WriteFile(p.path(name), []byte(text), 0o644))
}

// folders makes the queue as Postfix wants it (postfix-files(5)).
func (p *postfix) folders() {
	p.t.Helper()
	owner, err := user.Lookup("postfix")
	p.check(err)
	group, err := user.LookupGroup("postdrop")
	p.check(err)
	uid, err := strconv.Atoi(owner.Uid)
	p.check(err)
	gid, err := strconv.Atoi(group.Gid)
	p.check(err)
	p.check(os.MkdirAll(p.path("spool/pid"), 0o755))
	for _, name := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace", "maildrop", "public"} {
		p.check(os.MkdirAll(p.path("spool/"+name), 0o700))
		p.check(os.Chown(p.path("spool/"+name), uid, -1))
	}
	for name, mode := range map[string]os.FileMode{"maildrop": 0o730, "public": 0o710} {
		p.check(os.Chown(p.path("spool/"+name), uid, gid))
		p.check(os.Chmod(p.path("spool/"+name), mode))
	}
	p.check(os.MkdirAll(p.path("data"), 0o700))
	p.check(os.Chown(p.path("data"), uid, -1))
	p.check(os.MkdirAll(p.path("mail"), 0o755))
	p.check(os.Chown(p.path("mail"), nobody, nobody))
}

const nobody = 65534

func (p *postfix) certificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	p.check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	p.check(err)
	p.ca = p.path("etc/cert.pem")
	p.write("etc/cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.write("etc/key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	p.check(os.Chmod(p.path("etc/key.pem"), 0o600))
}

func (p *postfix) password() {
	p.t.Helper()
	p.write("etc/sasl/smtpd.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: "+p.path("etc/sasl/sasldb2")+
		"\nmech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256\n")
	cmd := exec.Command(saslpasswd2, "-c", "-p", "-f", p.path("etc/sasl/sasldb2"), "-u", "mail.test", login)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("setting the password: %v\n%s", err, out)
	}
	p.check(os.Chmod(p.path("etc/sasl/sasldb2"), 0o644))
}

func (p *postfix) main() string {
	return fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mail.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = example.org
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ { ops@example.org = ops/ }, { boss@example.org = boss/ } }
virtual_minimum_uid = 1
virtual_uid_maps = static:%[2]d
virtual_gid_maps = static:%[2]d
smtpd_tls_cert_file = %[1]s/etc/cert.pem
smtpd_tls_key_file = %[1]s/etc/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = %[1]s/etc/sasl
smtpd_sasl_local_domain = mail.test
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_delay_reject = yes
smtpd_recipient_restrictions = reject_unlisted_recipient, permit_sasl_authenticated, reject
`, p.dir, nobody)
}

func (p *postfix) services() string {
	var b strings.Builder
	fmt.Fprintf(&b, "127.0.0.1:%d inet n - n - - smtpd\n", p.port)
	for _, s := range []string{
		"cleanup unix n - n - 0 cleanup", "qmgr unix n - n 300 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr", "rewrite unix - - n - - trivial-rewrite",
		"bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "proxymap unix - - n - - proxymap",
		"error unix - - n - - error", "retry unix - - n - - error", "virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil",
		"postlog unix-dgram n - n - 1 postlogd",
	} {
		b.WriteString(s + "\n")
	}
	return b.String()
}

// patience bounds whatever is expected to happen; tests do not wait it out.
const patience = time.Minute

// start starts the server and waits until it greets.
func (p *postfix) start() {
	p.t.Helper()
	p.cmd = exec.Command(master, "-c", p.path("etc"), "-d")
	p.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it ends by killing its group
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.check(p.cmd.Start())
	deadline := time.Now().Add(patience)
	for {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.port), time.Second)
		if err == nil {
			_ = conn.SetDeadline(deadline)
			line := make([]byte, 4)
			_, err = conn.Read(line)
			_ = conn.Close()
			if err == nil && string(line[:3]) == "220" {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("Postfix does not greet: %v\n%s\n%s", err, p.out.String(), p.log())
		}
		<-time.After(20 * time.Millisecond) // nothing tells when it is ready but its answer
	}
}

// stop ends the server, the processes that it started too.
func (p *postfix) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(unix.SIGTERM)
	_ = p.cmd.Wait() // it says how it was ended
	p.cmd = nil
}

func (p *postfix) log() string {
	text, err := os.ReadFile(p.path("log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		p.t.Error(err)
	}
	return string(text)
}

// wantLogged waits until the log holds a text, in any case: what writes it is a process of
// its own, behind which a mail may arrive.
func (p *postfix) wantLogged(text string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !strings.Contains(strings.ToLower(p.log()), strings.ToLower(text)) {
		if time.Now().After(deadline) {
			p.t.Errorf("the log lacks %q:\n%s", text, p.log())
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// next waits for a mail in a mailbox and takes it out.
func (p *postfix) next(box string) []byte {
	p.t.Helper()
	dir := p.path("mail/" + box + "/new")
	deadline := time.Now().Add(patience)
	for {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) > 0 {
			path := filepath.Join(dir, entries[0].Name())
			text, err := os.ReadFile(path)
			p.check(err)
			p.check(os.Remove(path))
			return text
		}
		if time.Now().After(deadline) {
			logs, _ := filepath.Glob(filepath.Join(filepath.Dir(p.dir), "*/var/ossec/logs/notifications.log")) // the pattern is good
			for _, path := range logs {
				text, err := os.ReadFile(path)
				p.t.Logf("%s %v\n%s", path, err, text)
			}
			p.t.Fatalf("no mail for %s\n%s", box, p.log())
		}
		<-time.After(20 * time.Millisecond) // the folder is not there before the first mail
	}
}

// count returns how many mails lie in a mailbox.
func (p *postfix) count(box string) int {
	entries, _ := os.ReadDir(p.path("mail/" + box + "/new")) // none is no mail
	return len(entries)
}
