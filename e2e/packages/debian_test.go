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

// TestDebian: the .deb installed, used, upgraded, removed, installed again and purged.
func TestDebian(t *testing.T) {
	needs(t, "make", "git", "debootstrap", "apt-get", "dpkg-deb", "nsenter")
	old, recent := pick(t, first, "deb"), pick(t, second, "deb")
	d := newDebian(t)
	d.run("groupadd", "--system", "ossec")
	d.makeHome()
	before := d.system()
	old, recent = d.copied(old), d.copied(recent)
	_, err := d.try("iptables", "-w", "-n", "-L", "INPUT")
	kernel := err == nil
	if !kernel {
		t.Log("iptables does not work here: nothing is blocked really")
	}
	const wazuh = "a newer stock binary\n"
	const cron = "/etc/cron.d/ossec-ar"

	d.step("installed")
	said := d.run("dpkg", "-i", old)
	d.says(said, "kept the stock firewall-drop.sh in "+home+"/active-response/stock", "installed into "+home+"/active-response/bin",
		"restart OSSEC or Wazuh when it suits you")
	d.says(d.run("dpkg-query", "-W", "-f", "${Status} ${Version}", "ossec-ar"), "install ok installed "+first+"-1")
	if said := d.run("dpkg", "--verify", "ossec-ar"); said != "" {
		t.Errorf("dpkg --verify: %s", said)
	}
	d.says(d.run("dpkg-query", "-W", "-f", "${Conffiles}", "ossec-ar"), cron, "/etc/logrotate.d/ossec-ar")
	d.there(cron, "/etc/logrotate.d/ossec-ar", "/usr/lib/ossec-ar/install.sh", "/usr/lib/ossec-ar/dist/response-stats",
		"/usr/lib/ossec-ar/contrib/ossec/ssh.xml", "/usr/share/man/man8/firewall-drop.8.gz",
		"/usr/share/man/man5/active-response.toml.5.gz", "/usr/share/doc/ossec-ar/copyright",
		"/usr/share/doc/ossec-ar/changelog.gz", "/usr/share/doc/ossec-ar/README.md.gz",
		bin+"host-deny", bin+"route-null.sh", bin+"email-notification.sh", bin+"response-stats.sh")
	d.gone("/usr/share/ossec-ar", "/etc/systemd/system/ossec-ar-maintain.timer")
	d.holds(home+"/active-response/stock/firewall-drop.sh", stock)
	for _, link := range []string{"firewall-drop.sh", "custom-firewall-drop.sh"} {
		if to, _ := os.Readlink(d.path(bin + link)); to != "firewall-drop" {
			t.Errorf("%s leads to %q", link, to)
		}
	}
	if to, _ := os.Readlink(d.path(tool)); to != home+"/bin/ossec-ar" {
		t.Errorf("%s leads to %q", tool, to)
	}
	d.says(d.run("stat", "-c", "%U:%G %a", bin+"firewall-drop", home+"/bin/ossec-ar"), "root:ossec 755\nroot:ossec 755")
	d.says(d.run("ossec-ar", "--version"), first)
	d.says(d.run(bin+"firewall-drop.sh", "--version"), first)

	d.step("used")
	d.says(d.run(bin+"firewall-drop", "--dry-run", "add", address), "would block "+address)
	if kernel {
		d.run(bin+"firewall-drop.sh", "add", "-", address, "1304756247.60385", "5712")
		d.says(d.run("iptables", "-w", "-n", "-L", "OSSEC_AR"), address)
		d.says(d.run("ossec-ar", "list"), address)
		d.there(home + "/var/active-response/firewall-drop.db")
	}

	d.step("upgraded; what an administrator changed stays, and so do the blocks")
	mine := read(t, d.path(cron)) + "# mine\n"
	write(t, d.path(cron), mine, 0o644)
	said = d.run("dpkg", "-i", recent)
	if strings.Contains(said, "put the stock") || strings.Contains(said, "kept the stock") {
		t.Error("the upgrade took the old version out first")
	}
	d.says(d.run(bin+"firewall-drop.sh", "--version"), second)
	d.holds(home+"/active-response/stock/firewall-drop.sh", stock)
	d.holds(cron, mine)
	if kernel {
		d.says(d.run("iptables", "-w", "-n", "-L", "OSSEC_AR"), address)
		d.says(d.run("ossec-ar", "list"), address)
	}

	d.step("another package puts its own binary in the place of ours")
	hids := filepath.Join(t.TempDir(), "hids")
	write(t, filepath.Join(hids, "DEBIAN/control"), "Package: hids\nVersion: 1\nArchitecture: all\nMaintainer: a test <test@example.com>\nDescription: a daemon\n", 0o644)
	write(t, filepath.Join(hids, bin, "host-deny"), wazuh, 0o755)
	output(t, exec.Command("dpkg-deb", "--root-owner-group", "-b", hids, d.path("/tmp/hids.deb")))
	d.says(d.run("dpkg", "-i", "/tmp/hids.deb"), "kept the stock host-deny")
	d.says(d.run(bin+"host-deny", "--version"), second)
	d.holds(home+"/active-response/stock/host-deny", wazuh)

	d.step("removed")
	said = d.run("dpkg", "-r", "ossec-ar")
	d.says(said, "put the stock firewall-drop.sh back", "put the stock host-deny back", "removed from "+home)
	if strings.Contains(said, cron) {
		t.Error("a file of dpkg's own is spoken of")
	}
	d.says(d.run("dpkg-query", "-W", "-f", "${Status}", "ossec-ar"), "deinstall ok config-files")
	d.holds(bin+"firewall-drop.sh", stock)
	d.holds(bin+"host-deny", wazuh)
	d.holds(cron, mine)
	d.gone(tool, home+"/bin/ossec-ar", bin+"firewall-drop", bin+"custom-firewall-drop.sh", bin+"route-null", bin+"response-stats.sh",
		home+"/active-response/stock", "/usr/lib/ossec-ar", "/usr/share/doc/ossec-ar", "/usr/share/man/man8/ossec-ar.8.gz")
	d.there(home + "/var/active-response")
	if kernel {
		d.says(d.run("iptables", "-w", "-n", "-L", "OSSEC_AR"), address)
	}

	d.step("installed once more, with what was blocked")
	d.run("dpkg", "-i", recent)
	d.holds(cron, mine)
	if kernel {
		d.says(d.run("ossec-ar", "list"), address)
	}

	d.step("purged: what was blocked is free, and nothing is left")
	d.run("dpkg", "-P", "ossec-ar")
	d.run("dpkg", "-P", "hids")
	if kernel {
		if said, _ := d.try("iptables-save"); strings.Contains(said, address) {
			t.Error("the address is still blocked")
		}
	}
	after := d.system()
	delete(after, home+"/logs/active-responses.log") // OSSEC's own too
	sameTree(t, "purged", after, before)
	if _, err := d.try("dpkg-query", "-W", "ossec-ar"); err == nil {
		t.Error("dpkg still knows of it")
	}

	d.step("not beside an installation by hand")
	write(t, d.path("/usr/share/ossec-ar/install.sh"), "", 0o755)
	if said, err := d.try("dpkg", "-i", recent); err == nil {
		t.Error("it was installed")
	} else {
		d.says(said, "the suite was installed by install.sh here")
	}
	d.gone(bin+"firewall-drop", "/usr/lib/ossec-ar", cron)
	d.try("dpkg", "-P", "ossec-ar")
	if err := os.RemoveAll(d.path("/usr/share/ossec-ar")); err != nil {
		t.Fatal(err)
	}
	os.Remove(d.path(home + "/logs/active-responses.log"))
	sameTree(t, "refused", d.system(), before)

	d.step("in a home that is named by OSSEC's own file")
	if err := os.Rename(d.path(home), d.path("/opt/hids")); err != nil {
		t.Fatal(err)
	}
	write(t, d.path("/etc/ossec-init.conf"), "DIRECTORY=\"/opt/hids\"\n", 0o644)
	elsewhere := d.system()
	d.says(d.run("dpkg", "-i", recent), "installed into /opt/hids/active-response/bin", "The home is /opt/hids: change /var/ossec in "+cron)
	d.there("/opt/hids/active-response/bin/firewall-drop")
	if to, _ := os.Readlink(d.path(tool)); to != "/opt/hids/bin/ossec-ar" {
		t.Errorf("%s leads to %q", tool, to)
	}
	d.run("dpkg", "-P", "ossec-ar")
	sameTree(t, "purged elsewhere", d.system(), elsewhere)

	d.step("on a machine without OSSEC")
	for _, name := range []string{"/opt/hids", "/etc/ossec-init.conf"} {
		if err := os.RemoveAll(d.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	empty := d.system()
	d.says(d.run("dpkg", "-i", recent), "no OSSEC or Wazuh in /var/ossec: making the folders")
	d.says(d.run(bin+"firewall-drop", "--dry-run", "add", address), "would block "+address)
	d.run(bin+"firewall-drop.sh", "add", "-", "127.0.0.1", "1304756247.60385", "5712") // is skipped, and logged
	d.there(home + "/logs/active-responses.log")
	d.run("dpkg", "-P", "ossec-ar")
	sameTree(t, "purged without OSSEC", d.system(), empty)

	t.Run("rpm", func(t *testing.T) {
		needs(t, "rpm")
		d := &debian{T: t, root: d.root, pid: d.pid, done: d.done}
		d.makeHome()
		d.rpm(pick(t, first, "rpm"), pick(t, second, "rpm"))
	})
}

// rpm installs, upgrades and erases the .rpm in the Debian, with this machine's rpm: dpkg knows
// nothing of it, but files and scripts are the same as elsewhere.
func (d *debian) rpm(old, recent string) {
	before := d.system()
	rpm := func(args ...string) string {
		d.Helper()
		cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(d.pid), "-m", "-n", "-p", "-r", "rpm", "--root", d.root, "--dbpath", "/var/lib/rpm", "--nodeps", "--force-debian"}, args...)...)
		out := output(d.T, cmd)
		fmt.Fprintf(d.done, "# rpm %s\n%s", strings.Join(args, " "), out)
		return out
	}
	d.says(output(d.T, exec.Command("rpm", "-qp", "--requires", recent)), "iptables")
	d.says(output(d.T, exec.Command("rpm", "-qpc", recent)), "/etc/cron.d/ossec-ar\n/etc/logrotate.d/ossec-ar")
	d.step("rpm installed, upgraded, erased")
	d.says(rpm("-i", old), "kept the stock firewall-drop.sh")
	d.says(d.run(bin+"firewall-drop.sh", "--version"), first)
	if said := rpm("-U", recent); strings.Contains(said, "put the stock") {
		d.Error("the upgrade took the old version out")
	}
	d.says(d.run(bin+"firewall-drop.sh", "--version"), second)
	d.holds(home+"/active-response/stock/firewall-drop.sh", stock)
	d.says(rpm("-e", "ossec-ar"), "put the stock firewall-drop.sh back")
	d.holds(bin+"firewall-drop.sh", stock)
	if err := os.RemoveAll(d.path(home + "/var")); err != nil { // the state stays: rpm knows no purge
		d.Fatal(err)
	}
	sameTree(d.T, "erased", d.system(), before)
}
