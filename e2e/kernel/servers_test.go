package kernel

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/blockfile"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/isolate"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// server is a web server or proxy that reads the list, set up as docs/ip-customblock.md has it. DIR is
// its folder, PID the process.
type server struct {
	name    string
	program string
	conf    string
	start   string
	format  string
	list    string // what is in it before
	reload  string
	signal  unix.Signal // that has it reload; 0 for none
}

var servers = []server{
	{
		name: "HAProxy", program: "/usr/sbin/haproxy", format: "{address}", start: "-W -db -f DIR/conf",
		reload: "/bin/kill -USR2 PID", signal: unix.SIGUSR2, // as its unit does it
		conf: `defaults
	mode http
	timeout client 1m
	timeout connect 1m
	timeout server 1m
frontend web
	bind 127.0.0.1:8080
	http-request deny if { src -f DIR/blocked }
	http-request return status 200 content-type text/plain string hello
`,
	},
	{
		name: "Apache", program: "/usr/sbin/apache2", format: "Require not ip {address}",
		start:  "-f DIR/conf -D FOREGROUND",
		reload: "/usr/sbin/apache2 -f DIR/conf -k graceful", // what apache2ctl does
		conf: `ServerRoot DIR
ServerName localhost
PidFile DIR/pid
DefaultRuntimeDir DIR
ErrorLog DIR/log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_host_module /usr/lib/apache2/modules/mod_authz_host.so
User nobody
Group nogroup
Listen 127.0.0.1:8080
DocumentRoot DIR
<Directory DIR>
	<RequireAll>
		Require all granted
		Include DIR/blocked
	</RequireAll>
</Directory>
`,
	},
	{
		name: "Caddy", program: "/usr/bin/caddy", format: "remote_ip {address}", list: "remote_ip 192.0.2.0/32\n",
		start:  "run --config DIR/conf --adapter caddyfile",
		reload: "/usr/bin/caddy reload --config DIR/conf --adapter caddyfile",
		conf: `{
	admin 127.0.0.1:2019
}
http://127.0.0.1:8080 {
	@blocked {
		import DIR/blocked
	}
	respond @blocked 403
	respond hello 200
}
`,
	},
}

// TestServers: each server turns away who is in the list, and nobody else.
func TestServers(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			ofOthers(t, s.program)
			if !isolate.Test(t) {
				return
			}
			needRoot(t, "the server's workers are another user")
			s.run(t)
		})
	}
}

func (s server) run(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"conf": s.conf, "blocked": s.list, "index.html": "hello\n"} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	passable(t, dir) // the workers are nobody
	words := func(line string, pid int) []string {
		return strings.Fields(strings.NewReplacer("DIR", dir, "PID", fmt.Sprint(pid)).Replace(line))
	}
	cmd := exec.Command(s.program, words(s.start, 0)...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	said, err := os.Create(filepath.Join(dir, "said"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // "signal: killed"
		if text, err := os.ReadFile(said.Name()); t.Failed() {
			t.Logf("it says: %s, %v", text, err)
		}
	})
	attacker, other := target.MustParse("127.0.0.2"), target.MustParse("127.0.0.20")
	comesToAnswer(t, attacker, http.StatusOK)
	if s.signal != 0 {
		comesToCatch(t, cmd.Process.Pid, s.signal)
	}

	settings := config.Default()
	settings.Blockfile.File, settings.Blockfile.Format = dir+"/blocked", s.format
	settings.Blockfile.Reload = words(s.reload, cmd.Process.Pid)
	e, err := blockfile.Kind.New(settings, t.TempDir())
	must(t, err)
	if _, err := e.Block(t.Context(), attacker, enforcer.Known{}); err != nil {
		t.Fatal(err)
	}
	comesToAnswer(t, attacker, http.StatusForbidden)
	comesToAnswer(t, other, http.StatusOK)
	must(t, e.Unblock(t.Context(), attacker))
	comesToAnswer(t, attacker, http.StatusOK)
}

// comesToAnswer waits until the server answers an address so: it goes on answering as before until its
// new processes do.
func comesToAnswer(t *testing.T, from target.Target, want int) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.Addr().AsSlice()}}
	transport := http.Transport{DisableKeepAlives: true, DialContext: dialer.DialContext}
	client := http.Client{Timeout: time.Minute, Transport: &transport}
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		response, err := client.Get("http://127.0.0.1:8080/index.html")
		if err != nil {
			last = err.Error()
			continue
		}
		_ = response.Body.Close() // it is read for its status
		if last = response.Status; response.StatusCode == want {
			return
		}
	}
	t.Fatalf("%s is answered %s, want %d", from, last, want)
}

// comesToCatch waits until a process does something of its own when a signal comes: HAProxy answers before
// that.
func comesToCatch(t *testing.T, pid int, signal unix.Signal) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		must(t, err)
		_, after, _ := strings.Cut(string(status), "SigCgt:\t")
		digits, _, _ := strings.Cut(after, "\n")
		caught, err := strconv.ParseUint(digits, 16, 64)
		must(t, err)
		if caught&(1<<(signal-1)) != 0 {
			return
		}
	}
	t.Fatalf("%d does not catch %s", pid, signal)
}
