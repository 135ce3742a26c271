package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ossec-ar/ossec-ar/internal/isolate"
)

// layout is how a package lays out its home: modes, the owner (the daemons' account or root),
// and what a file says. A path that ends in / is a folder.
type layout []struct {
	mode   os.FileMode
	daemon bool
	path   string
	text   string
}

// stock is a program of OSSEC's or Wazuh's own.
const stock = "#!/bin/sh\n# stock\nexit 0\n"

// stockRules are the rules that others build on.
const stockRules = `<group name="ossec,">
  <rule id="600" level="0">
    <decoded_as>ar_log</decoded_as>
  </rule>
  <rule id="650" level="0">
    <decoded_as>ar_log_json</decoded_as>
  </rule>
  <rule id="1002" level="2">
    <match>error</match>
  </rule>
</group>
`

// noRules is what a file of rules is here otherwise.
const noRules = "<group name=\"local,\">\n</group>\n"

// ossec is what the homes of an OSSEC server and agent have in common, as 4.3 makes them.
var ossec = layout{
	{0o550, false, "", ""}, {0o550, false, "bin/", ""}, {0o550, false, "bin/ossec-control", stock},
	{0o550, false, "etc/", ""}, {0o770, false, "etc/shared/", ""},
	{0o750, true, "logs/", ""}, {0o660, true, "logs/ossec.log", ""},
	{0o550, false, "queue/", ""}, {0o770, true, "queue/alerts/", ""},
	{0o550, false, "var/", ""}, {0o770, false, "var/run/", ""},
	{0o550, false, "active-response/", ""}, {0o550, false, "active-response/bin/", ""},
	{0o550, false, "active-response/bin/firewall-drop.sh", stock},
	{0o550, false, "active-response/bin/host-deny.sh", stock},
	{0o550, false, "active-response/bin/route-null.sh", stock},
	{0o550, false, "active-response/bin/disable-account.sh", stock},
	{0o550, false, "active-response/bin/restart-ossec.sh", stock},
}

// wazuh is what the homes of a Wazuh manager and agent have in common, as 4.14 and 5.0 make
// them.
var wazuh = layout{
	{0o750, false, "", ""}, {0o750, false, "bin/", ""}, {0o750, false, "bin/wazuh-control", stock},
	{0o770, true, "etc/", ""}, {0o770, false, "etc/shared/", ""},
	{0o770, true, "logs/", ""}, {0o660, true, "logs/ossec.log", ""}, {0o660, true, "logs/active-responses.log", ""},
	{0o750, false, "queue/", ""}, {0o770, true, "queue/alerts/", ""},
	{0o770, false, "var/", ""}, {0o770, false, "var/run/", ""},
	{0o750, false, "active-response/", ""}, {0o750, false, "active-response/bin/", ""},
	{0o750, false, "active-response/bin/disable-account", stock},
}

func version(v string) string {
	return fmt.Sprintf("{\n    \"version\": %q,\n    \"stage\": \"rc1\"\n}\n", v)
}

var layouts = map[string]layout{
	"ossec-server": slices.Concat(ossec, layout{
		{0o660, true, "logs/active-responses.log", ""}, {0o750, true, "logs/alerts/", ""},
		{0o550, false, "rules/", ""},
		{0o640, false, "rules/rules_config.xml", noRules}, {0o640, false, "rules/sshd_rules.xml", noRules},
		{0o640, false, "rules/ossec_rules.xml", stockRules}, {0o640, false, "rules/local_rules.xml", noRules},
	}),
	"ossec-agent": ossec,
	"wazuh-manager": slices.Concat(wazuh, layout{
		{0o440, false, "VERSION.json", version("4.14.7")},
		{0o750, true, "logs/alerts/", ""}, {0o770, false, "etc/rules/", ""},
		{0o660, true, "etc/rules/local_rules.xml", noRules},
		{0o750, false, "ruleset/", ""}, {0o750, false, "ruleset/rules/", ""},
		{0o640, false, "ruleset/rules/0015-ossec_rules.xml", stockRules},
		{0o750, false, "active-response/bin/firewall-drop", stock},
		{0o750, false, "active-response/bin/host-deny", stock},
		{0o750, false, "active-response/bin/route-null", stock},
		{0o750, false, "active-response/bin/restart-wazuh", stock},
	}),
	"wazuh5-agent": slices.Concat(wazuh, layout{
		{0o440, false, "VERSION.json", version("5.0.0")},
		{0o750, false, "active-response/bin/block-ip", stock},
	}),
}

// daemonsID is the user and group of the daemons in a home that root lays out.
const daemonsID = 995

// home KIND puts a home in the place of the script's, as the package of that kind lays it out
// and with its stock ossec.conf, and nothing of the suite in it. $SUITE is a release of the
// suite to install from, and /usr may be written to.
func home(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(isolate.Overlay("/usr"))
	dir := ts.Getenv("HOME_DIR")
	ts.Check(os.RemoveAll(dir))
	text, err := os.ReadFile(filepath.Join(ts.Getenv("SOURCE"), "e2e/homes", args[0]+".conf"))
	ts.Check(err)
	conf := strings.ReplaceAll(string(text), "/var/ossec", dir)
	mode := os.FileMode(0o640)
	if strings.HasPrefix(args[0], "wazuh") {
		mode = 0o660
	}
	ts.Check(lay(dir, slices.Concat(layouts[args[0]], layout{{mode, false, "etc/ossec.conf", conf}})))
	ts.Setenv("SUITE", ts.MkAbs("suite"))
	ts.Check(release(ts.MkAbs("suite"), ts.Getenv("SOURCE"), ts.Getenv("PROGRAMS")))
}

// release makes a folder to install from.
func release(dir, source, programs string) error {
	script, err := os.ReadFile(filepath.Join(source, "install.sh"))
	return errors.Join(err, os.MkdirAll(filepath.Join(dir, "docs"), 0o755),
		os.CopyFS(filepath.Join(dir, "contrib"), os.DirFS(filepath.Join(source, "contrib"))),
		os.WriteFile(filepath.Join(dir, "install.sh"), script, 0o755),
		os.Symlink(programs, filepath.Join(dir, "dist")))
}

// lay makes the folders and files of a home. Modes are set last: a folder may forbid what it
// gets.
func lay(dir string, l layout) error {
	for _, f := range l {
		path := filepath.Join(dir, f.path)
		if f.path == "" || strings.HasSuffix(f.path, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, []byte(f.text), 0o755); err != nil {
			return err
		}
	}
	for _, f := range l {
		path := filepath.Join(dir, f.path)
		if isolate.Root() {
			user := 0
			if f.daemon {
				user = daemonsID
			}
			if err := os.Chown(path, user, daemonsID); err != nil {
				return err
			}
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
	}
	return nil
}
