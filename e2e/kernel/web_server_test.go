package kernel

import (
	"errors"
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

const nginxConf = `pid DIR/pid;
error_log DIR/log;
events {}
http {
	access_log off;
	client_body_temp_path DIR/temp; proxy_temp_path DIR/temp; fastcgi_temp_path DIR/temp;
	uwsgi_temp_path DIR/temp; scgi_temp_path DIR/temp;
	set_real_ip_from 127.0.0.1;
	real_ip_header X-Forwarded-For;
	server {
		listen 127.0.0.1:8080;
		include DIR/blocked.conf;
		location / { root DIR; }
	}
}
`

// TestNginx: nginx behind a balancer turns away who is in the list, as docs/ip-customblock.md has it
// set up, as soon as it has read the list again.
func TestNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(nginx); err != nil {
		needKernel(t, "nginx is not installed")
	}
	if !isolate.Test(t) {
		return
	}
	needRoot(t, "nginx gives files to its workers")
	command(t, "ip", "link", "set", "lo", "up")
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("blocked.conf", "# of the administrator\n")
	write("index.html", "hello\n")
	write("nginx.conf", strings.ReplaceAll(nginxConf, "DIR", dir))
	passable(t, dir) // nginx's workers are nobody
	command(t, nginx, "-c", dir+"/nginx.conf")
	t.Cleanup(func() { command(t, nginx, "-c", dir+"/nginx.conf", "-s", "stop") })

	settings := config.Default()
	settings.Blockfile.File = dir + "/blocked.conf"
	settings.Blockfile.Reload = []string{nginx, "-c", dir + "/nginx.conf", "-s", "reload"}
	e, err := blockfile.Kind.New(settings, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	one, other := target.MustParse("203.0.113.7"), target.MustParse("203.0.113.70")
	wantStatus(t, one, http.StatusOK)
	reloaded := awaitReload(t, dir)
	if _, err := e.Block(t.Context(), one, enforcer.Known{}); err != nil {
		t.Fatal(err)
	}
	reloaded()
	wantStatus(t, one, http.StatusForbidden)
	wantStatus(t, other, http.StatusOK)
	reloaded = awaitReload(t, dir)
	if err := e.Unblock(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	reloaded()
	wantStatus(t, one, http.StatusOK)
}

// awaitReload returns a function that waits until the processes that answer now have ended: nginx ends
// them when those that have read its files again answer.
func awaitReload(t *testing.T, dir string) func() {
	t.Helper()
	master, err := os.ReadFile(dir + "/pid")
	must(t, err)
	pid := strings.TrimSpace(string(master))
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	must(t, err)
	var workers []unix.PollFd
	for word := range strings.FieldsSeq(string(children)) {
		worker, err := strconv.Atoi(word)
		must(t, err)
		fd, err := unix.PidfdOpen(worker, 0)
		if errors.Is(err, unix.ESRCH) {
			continue // it has just ended
		}
		must(t, err)
		workers = append(workers, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	if len(workers) == 0 {
		t.Fatal("nobody answers")
	}
	return func() {
		t.Helper()
		for i := range workers {
			n, err := 0, error(unix.EINTR)
			for errors.Is(err, unix.EINTR) {
				n, err = unix.Poll(workers[i:i+1], int(time.Minute.Milliseconds()))
			}
			if err != nil || n != 1 {
				t.Fatalf("a process that has not read the list again still runs after a minute (%v)", err)
			}
			must(t, unix.Close(int(workers[i].Fd)))
		}
	}
}

// wantStatus checks how the server answers an address.
func wantStatus(t *testing.T, from target.Target, want int) {
	t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8080/", nil)
	must(t, err)
	request.Header.Set("X-Forwarded-For", from.String())
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != want {
		t.Fatalf("%s is answered %s, want %d", from, response.Status, want)
	}
}
