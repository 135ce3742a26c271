package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

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
