package config

import (
	"slices"
	"strings"
	"testing"
)

// What is wrong with a service is said without what could be its URL, and the others count.
func TestChatFaults(t *testing.T) {
	const good = "[[chat]]\nurl_file = \"/etc/ossec-ar/ntfy.url\"\n"
	for text, want := range map[string]string{
		"[[chat]]\nurl_file = \"https://hooks.slack.com/services/s3cr3t\"\n": "url_file is no absolute path",
		"[[chat]]\nlevel = 3\n":                                                            "either url_file or from_call",
		"[[chat]]\nurl_file = \"/x\"\nfrom_call = true\n":                                  "either url_file or from_call",
		"[[chat]]\nurl_file = \"/x\"\non = [\"blocks\"]\n":                                 `"blocks" is not one of block, unblock, failure, report`,
		"[[chat]]\nurl_file = \"/x\"\nproxy = \"ftp://proxy\"\n":                           "proxy is no URL such as",
		"[[chat]]\nurl_file = \"/x\"\nproxy = \"http://user:s3cr3t@proxy:3128\"\n":         "proxy has a password in it",
		"[[chat]]\nurl_file = \"/x\"\nca_file = \"ca.pem\"\n":                              "ca_file is no absolute path",
		"[[chat]]\nurl = \"https://hooks.slack.com/services/s3cr3t\"\nurl_file = \"/x\"\n": `unknown key "url"`,
		"[chat]\nurl_file = \"/x\"\n":                                                      "it is written [[chat]]",
	} {
		rest := good
		if strings.HasPrefix(text, "[chat]") {
			rest = "" // both together are no TOML
		}
		c, err := parse("t", text+rest, Default())
		if rest != "" && (len(c.Chat) == 0 || c.Chat[len(c.Chat)-1].URLFile != "/etc/ossec-ar/ntfy.url") {
			t.Errorf("%s: %+v", text, c.Chat)
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestChatWants(t *testing.T) {
	c, err := parse("t", "[[chat]]\nurl_file = \"/x\"\nlevel = 8\nresponses = [\"host-deny\"]\n", Default())
	if err != nil {
		t.Fatal(err)
	}
	s := c.Chat[0]
	for _, test := range []struct {
		on        string
		level     int
		responses []string
		want      bool
	}{
		{OnBlock, 8, []string{"firewall-drop", "host-deny"}, true},
		{OnFailure, 15, []string{"host-deny"}, true},
		{OnBlock, 7, []string{"host-deny"}, false},
		{OnBlock, 8, []string{"firewall-drop"}, false},
		{OnBlock, 8, nil, false},
		{OnUnblock, 8, []string{"host-deny"}, false},
		{OnReport, 8, []string{"host-deny"}, false},
	} {
		if got := s.Wants(test.on, test.level, test.responses); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
	s.On = slices.Concat(defaultOn, []string{OnUnblock})
	if !s.Wants(OnUnblock, 8, nil) {
		t.Error("the end of a block is of no response")
	}
}
