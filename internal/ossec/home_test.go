package ossec

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

func TestFindHome(t *testing.T) {
	for _, test := range []struct{ name, invoked, dir, override, want string }{
		{"by OSSEC, with the full path", "/var/ossec/active-response/bin/firewall-drop.sh", "/", "", "/var/ossec"},
		{"elsewhere", "/opt/ossec hids/active-response/bin/x", "/", "", "/opt/ossec hids"},
		{"by Wazuh, relative to the home", "active-response/bin/firewall-drop", "/var/ossec", "", "/var/ossec"},
		{"relative with a dot", "./active-response/bin/x", "/srv/wazuh", "", "/srv/wazuh"},
		{"relative from within", "../active-response/bin/x", "/srv/wazuh/logs", "", "/srv/wazuh"},
		{"relative, and no working directory", "active-response/bin/x", "", "", "."},
		{"the path wins over the override", "/a/active-response/bin/x", "/", "/b", "/a"},
		{"in the root", "/active-response/bin/x", "/", "", "/"},
		{"from the PATH", "firewall-drop", "/root", "", DefaultHome},
		{"from the PATH, with an override", "firewall-drop", "/root", "/opt/ossec/", "/opt/ossec"},
		{"a relative override is none", "firewall-drop", "/root", "ossec", DefaultHome},
		{"elsewhere on the disk", "/usr/local/bin/firewall-drop", "/", "", DefaultHome},
		{"a name that only looks like it", "/x/my-active-response/bin/y", "/", "", DefaultHome},
		{"one folder deeper", "/x/active-response/bin/sub/y", "/", "", DefaultHome},
		{"the folder itself", "/x/active-response/bin", "/", "", DefaultHome},
		{"nothing", "", "/", "", DefaultHome},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := FindHome(test.invoked, test.dir, test.override); string(got) != test.want {
				t.Errorf("FindHome(%q, %q, %q) = %s, want %s", test.invoked, test.dir, test.override, got, test.want)
			}
		})
	}
}

// TestFindHomeKeepsLinks: an alias in one home that leads to a program in another is of
// the home that it stands in.
func TestFindHomeKeepsLinks(t *testing.T) {
	dir := t.TempDir()
	for _, home := range []string{"a", "b"} {
		if err := os.MkdirAll(filepath.Join(dir, home, "active-response/bin"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	alias := filepath.Join(dir, "a/active-response/bin/x")
	if err := os.Symlink(filepath.Join(dir, "b/active-response/bin/x"), alias); err != nil {
		t.Fatal(err)
	}
	if got, want := string(FindHome(alias, "/", "")), filepath.Join(dir, "a"); got != want {
		t.Errorf("home is %s, want %s", got, want)
	}
}

// TestState: the state is where nobody but root can take it away, and stays where it is.
func TestState(t *testing.T) {
	if !isolate.Test(t) {
		return
	}
	above := t.TempDir()
	home := Home(filepath.Join(above, "home"))
	inVar, system := string(home)+"/var/active-response", "/var/lib/ossec-ar"+string(home)+"/state"
	link := Home(filepath.Join(above, "link"))
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"no home", func() error { return nil }, inVar},
		{"no var", func() error { return os.Mkdir(string(home), 0o755) }, inVar},
		{"root's alone", func() error { return os.Mkdir(string(home)+"/var", 0o750) }, inVar},
		{"writable for the group", func() error { return os.Chmod(string(home)+"/var", 0o770) }, system},
		{"the home, too", func() error { return os.Chmod(string(home), 0o770) }, system},
		{"used, and root's alone now", func() error {
			return errors.Join(os.MkdirAll(system, 0o700), os.MkdirAll(inVar, 0o700), os.Chmod(string(home), 0o755),
				os.Chmod(string(home)+"/var", 0o750))
		}, system},
		{"by a link", func() error { return os.Symlink("home", string(link)) }, system},
		{"not root's", func() error { return os.Chmod(system, 0o777) }, inVar},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := home.State(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if got := link.State(); step.name == "by a link" && got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if got, want := home.LastMaintain(), inVar+"/maintain.last"; got != want {
		t.Errorf("maintain notes its last run in %s, want %s", got, want)
	}
}
