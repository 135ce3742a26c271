package packages

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// debian is a Debian in a folder, with processes, mounts and a network of its own.
type debian struct {
	*testing.T
	root string
	pid  int
	done *strings.Builder // all commands and what they printed, shown when the test fails
}

// mirror gives the release of this machine and where its apt has it from.
func mirror(t *testing.T) (release, url string) {
	t.Helper()
	told, err := os.ReadFile("/etc/os-release")
	if err != nil {
		lacks(t, err.Error())
	}
	name := regexp.MustCompile(`(?m)^VERSION_CODENAME="?([a-z]+)`).FindStringSubmatch(string(told))
	if name == nil {
		lacks(t, "/etc/os-release names no Debian release")
	}
	targets := output(t, exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Identifier: Packages"))
	for line := range strings.Lines(targets) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[1] == name[1] && fields[2] == "main" {
			return name[1], fields[0]
		}
	}
	lacks(t, "apt has no source of "+name[1]+" main")
	return "", ""
}

// proxies gives apt's proxies as debootstrap's wget reads them.
func proxies(t *testing.T) (env []string) {
	t.Helper()
	for _, scheme := range []string{"http", "https"} {
		told := output(t, exec.Command("apt-config", "shell", "proxy", "Acquire::"+scheme+"::Proxy"))
		if _, value, ok := strings.Cut(strings.TrimSpace(told), "="); ok && value != "'DIRECT'" {
			env = append(env, scheme+"_proxy="+strings.Trim(value, "'"))
		}
	}
	return env
}

// newDebian makes one.
func newDebian(t *testing.T) *debian {
	t.Helper()
	d := &debian{T: t, root: filepath.Join(made, "root"), done: &strings.Builder{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.done)
		}
	})
	release, url := mirror(t)
	cmd := exec.Command("debootstrap", "--variant=minbase", "--include=iptables", release, d.root, url)
	cmd.Env = append(os.Environ(), proxies(t)...)
	begun := time.Now()
	output(t, cmd)
	t.Logf("debootstrap %s: %v", release, time.Since(begun).Round(time.Second))

	// This process keeps the namespaces; what is mounted in them goes with it.
	hold := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/run" && echo ready && exec sleep infinity`, "sh", d.root)
	hold.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	hold.Stderr = os.Stderr
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		lacks(t, "no namespaces of one's own here: "+err.Error())
	}
	t.Cleanup(func() {
		hold.Process.Kill()
		hold.Wait()
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal("mounting in a namespace failed")
	}
	d.pid = hold.Process.Pid
	return d
}

// try runs a command in there.
func (d *debian) try(args ...string) (string, error) {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(d.pid), "-m", "-n", "-p", "--root=" + d.root, "--wd=" + d.root}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	fmt.Fprintf(d.done, "# %s\n%s", strings.Join(args, " "), out)
	return string(out), err
}

// run runs a command that is to succeed.
func (d *debian) run(args ...string) string {
	d.Helper()
	out, err := d.try(args...)
	if err != nil {
		d.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return out
}

// step begins a part of the test.
func (d *debian) step(name string) {
	d.Log(name)
	fmt.Fprintf(d.done, "\n== %s\n", name)
}

func (d *debian) path(name string) string { return filepath.Join(d.root, name) }

// says fails unless a text has all that is wanted.
func (d *debian) says(text string, want ...string) {
	d.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			d.Errorf("%q is not said", w)
		}
	}
}

func (d *debian) there(names ...string) {
	d.Helper()
	for _, name := range names {
		if _, err := os.Lstat(d.path(name)); err != nil {
			d.Errorf("%s is not there", name)
		}
	}
}

func (d *debian) gone(names ...string) {
	d.Helper()
	for _, name := range names {
		if _, err := os.Lstat(d.path(name)); err == nil {
			d.Errorf("%s is there", name)
		}
	}
}

// holds fails unless a file has this text.
func (d *debian) holds(name, want string) {
	d.Helper()
	if got, err := os.ReadFile(d.path(name)); err != nil || string(got) != want {
		d.Errorf("%s holds %.80q, %v; want %.80q", name, got, err, want)
	}
}

// copied puts a package where it is seen from inside.
func (d *debian) copied(file string) string {
	d.Helper()
	name := "/tmp/" + filepath.Base(file)
	write(d.T, d.path(name), read(d.T, file), 0o644)
	return name
}

const (
	home    = "/var/ossec"
	bin     = home + "/active-response/bin/"
	tool    = "/usr/sbin/ossec-ar"
	stock   = "#!/bin/sh\n# the stock firewall-drop.sh\n"
	address = "203.0.113.7"
)

// makeHome makes OSSEC's home, with a stock script.
func (d *debian) makeHome() {
	d.Helper()
	write(d.T, d.path(home+"/etc/ossec.conf"), "<ossec_config>\n</ossec_config>\n", 0o640)
	write(d.T, d.path(home+"/bin/ossec-control"), "#!/bin/sh\n", 0o755)
	write(d.T, d.path(home+"/logs/ossec.log"), "", 0o640)
	write(d.T, d.path(bin+"firewall-drop.sh"), stock, 0o755)
	write(d.T, d.path(bin+"restart-ossec.sh"), "#!/bin/sh\n", 0o755)
	d.run("chown", "-R", "root:ossec", home)
}

// system gives what a package may have left outside of dpkg's own records.
func (d *debian) system() map[string]string {
	d.Helper()
	found := map[string]string{}
	for _, dir := range []string{"/etc", "/usr", "/var/lib", "/var/ossec", "/opt"} {
		if _, err := os.Lstat(d.path(dir)); err != nil {
			continue
		}
		for name, text := range tree(d.T, d.path(dir)) {
			if name = dir + name; !strings.HasPrefix(name, "/var/lib/dpkg") && !strings.HasPrefix(name, "/var/lib/rpm") {
				found[name] = text
			}
		}
	}
	return found
}
