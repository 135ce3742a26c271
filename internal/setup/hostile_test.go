package setup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestHostileFolders: what the daemons' account puts into etc of Wazuh, etc/rules or
// etc/whitelist.d leads no run to read, write or wait for anything else.
func TestHostileFolders(t *testing.T) {
	const conf = "<ossec_config><ruleset><rule_dir>ruleset/rules</rule_dir><rule_dir>etc/rules</rule_dir>" +
		"</ruleset></ossec_config>\n"
	for _, test := range []struct {
		name    string
		prepare func(h home, secret string) error
		want    string // of the error, "" for none
	}{
		{"ossec.conf is a link", func(h home, secret string) error {
			return errors.Join(os.Chmod(h.path("etc"), 0o770), os.Remove(h.path("etc/ossec.conf")),
				os.Symlink(secret, h.path("etc/ossec.conf")))
		}, "is a link, and others than root can write in "},
		{"ossec.conf is a pipe", func(h home, _ string) error {
			return errors.Join(os.Remove(h.path("etc/ossec.conf")), syscall.Mkfifo(h.path("etc/ossec.conf"), 0o660))
		}, "no plain file"},
		{"etc/rules is a link", func(h home, secret string) error {
			return errors.Join(os.Remove(h.path("etc/rules")), os.Symlink(filepath.Dir(secret), h.path("etc/rules")))
		}, "path escapes"},
		{"etc/rules is a pipe", func(h home, _ string) error {
			return errors.Join(os.Remove(h.path("etc/rules")), syscall.Mkfifo(h.path("etc/rules"), 0o660))
		}, "not a directory"},
		{"the rules are a link", func(h home, secret string) error {
			return os.Symlink(secret, h.path("etc/rules/"+rulesName))
		}, ""},
		{"the temporary names of before are links", func(h home, secret string) error {
			return errors.Join(os.Symlink(secret, h.path("etc/.ossec.conf.ossec-ar.tmp")),
				os.Symlink(secret, h.path("etc/rules/."+rulesName+".tmp")))
		}, ""},
		{"rules of others are pipes and links", func(h home, secret string) error {
			return errors.Join(syscall.Mkfifo(h.path("etc/rules/a.xml"), 0o660), os.Symlink(secret,
				h.path("etc/rules/b.xml")))
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t, conf, "bin/wazuh-control")
			h.put("ruleset/rules/0015-ossec_rules.xml",
				"<rule id=\"600\" level=\"0\"></rule><rule id=\"650\" level=\"0\"></rule>")
			h.put("ruleset/rules/0020-syslog_rules.xml", "<rule id=\"1002\" level=\"2\"></rule>")
			secret := filepath.Join(t.TempDir(), "shadow")
			if err := errors.Join(os.WriteFile(secret, []byte("root:secret"), 0o600),
				os.Mkdir(h.path("etc/rules"), 0o770), test.prepare(h, secret)); err != nil {
				t.Fatal(err)
			}
			out, err := h.run(Options{Rules: "../../contrib"})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(),
				test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if strings.Contains(out, "secret") || err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("it was quoted: %s, %v", out, err)
			}
			if data, err := os.ReadFile(secret); err != nil || string(data) != "root:secret" {
				t.Errorf("it was changed: %q, %v", data, err)
			}
			if info, err := os.Lstat(secret); err != nil || info.Mode() != 0o600 {
				t.Errorf("its mode was changed: %v, %v", info, err)
			}
			if files, err := os.ReadDir(filepath.Dir(secret)); err != nil || len(files) != 1 {
				t.Errorf("written beside it: %v, %v", files, err)
			}
			_ = filepath.WalkDir(h.dest, func(path string, e os.DirEntry, _ error) error {
				if e.Type().IsRegular() {
					if data, _ := os.ReadFile(path); strings.Contains(string(data), "secret") {
						t.Errorf("%s has it", path)
					}
				}
				return nil
			})
		})
	}
}
