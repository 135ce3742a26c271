package hostsdeny

import (
	"github.com/ossec-ar/ossec-ar/internal/target"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// program returns where an optional program is, or ends the test.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, folder := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin"} {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	skipUnlessRequired(t, name+" is not installed (Debian: tcpd)")
	return ""
}

var verdict = regexp.MustCompile(`access: +(granted|denied)`)

// tcpdmatch asks libwrap whether addr may talk to sshd, going by the hosts.allow
// and hosts.deny of folder.
func tcpdmatch(t *testing.T, folder string, addr target.Target) string {
	t.Helper()
	cmd := exec.Command(program(t, "tcpdmatch"), "-d", "sshd", addr.String())
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	match := verdict.FindSubmatch(out)
	if err != nil || match == nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	return string(match[1])
}

func TestLibwrapObeys(t *testing.T) {
	program(t, "tcpdmatch")
	crlf := strings.NewReplacer("\n", "\r\n")
	tests := []struct {
		name    string
		content string
		unended bool
		options Options
	}{
		{name: "hosts.deny", content: plain},
		{name: "CRLF", content: crlf.Replace(plain)},
		{name: "no line end", content: "ftpd: ALL", unended: true},
		{name: "NUL bytes after blank lines", content: "# a\n\n\n\x00\x00\x00"},
		{name: "last line continues", content: "# a\\\n", unended: true},
		{name: "last line continues, no line end", content: "# a\\", unended: true},
		{name: "NUL bytes, as a crash may leave", content: "# a\n\x00\x00\x00"},
		{name: "one daemon", content: plain, options: Options{Daemons: "vsftpd, sshd"}},
		{name: "hosts.allow", content: "# a\nALL : ALL : allow\n", options: Options{Allow: true}},
		{name: "hosts.allow, CRLF", content: "# a\r\nALL : ALL : allow\r\n", options: Options{Allow: true}},
	}
	for _, test := range tests {
		for _, addr := range []target.Target{target.MustParse("203.0.113.7"),
			target.MustParse("2001:db8::7")} {
			t.Run(test.name+" "+addr.String(), func(t *testing.T) {
				folder := t.TempDir()
				options := test.options
				options.Path, options.LockPath = filepath.Join(folder, "hosts.deny"),
					filepath.Join(t.TempDir(), "lock")
				writeFile(t, filepath.Join(folder, "hosts.allow"), "", 0o644)
				if options.Allow {
					options.Path = filepath.Join(folder, "hosts.allow")
					writeFile(t, filepath.Join(folder, "hosts.deny"), "", 0o644)
				}
				writeFile(t, options.Path, test.content, 0o644)
				e := New(options)
				want := func(step string, asked target.Target, want string) {
					t.Helper()
					if got := tcpdmatch(t, folder, asked); got != want {
						t.Errorf("%s: %s is %s, want %s", step, asked, got, want)
					}
				}
				if !test.unended { // which denies everyone
					want("before", addr, "granted")
				}
				block(t, e, addr)
				want("blocked", addr, "denied")
				want("blocked", target.Of(addr.Addr().Next()), "granted")
				unblock(t, e, addr)
				want("unblocked", addr, "granted")
			})
		}
	}
}

// TestSpellingsAsLibwrapReadsThem holds parse against libwrap: a line that parse
// takes for the address denies it, and one that it does not take, though it
// looks like it, does not.
func TestSpellingsAsLibwrapReadsThem(t *testing.T) {
	program(t, "tcpdmatch")
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "hosts.allow"), "", 0o644)
	for _, line := range []string{
		"ALL:1.2.3.4", "all :\t1.2.3.4 ", " ALL: 1.2.3.4\r", "ALL:[2001:db8::1]", "ALL: [2001:DB8:0::0001]",
		"ALL:[2001:db8::0.0.0.1]",
		"ALL:2001:db8::1", "ALL:[1.2.3.4]", "ALL:[::ffff:1.2.3.4]", "ALL:001.2.3.4", "ALL:1.2.3.40",
		"#ALL:1.2.3.4", "ALL:[2001:db8::11]",
		"#ossec-ar   ",
	} {
		writeFile(t, filepath.Join(folder, "hosts.deny"), line+"\n", 0o644)
		for _, addr := range []target.Target{v4, v6} {
			got, _ := newForm("", false).parse([]byte(line))
			want := "granted"
			if got == addr {
				want = "denied"
			}
			if said := tcpdmatch(t, folder, addr); said != want {
				t.Errorf("%q: libwrap says %s is %s, we say %s", line, addr, said, want)
			}
		}
	}
}

// TestLineLengthsAsLibwrapReadsThem holds longLine against libwrap.
func TestLineLengthsAsLibwrapReadsThem(t *testing.T) {
	program(t, "tcpdmatch")
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "hosts.allow"), "", 0o644)
	for _, head := range []string{"# ", "# a\\\n", "# a\\\n# b\\\n", "ftpd : ALL\n# "} {
		for length := maxLibwrapLine - 8; length < maxLibwrapLine+2; length++ {
			content := head + strings.Repeat("x", length) + "\n"
			writeFile(t, filepath.Join(folder, "hosts.deny"), content, 0o644)
			want := "granted"
			if longLine([]byte(content)) > 0 {
				want = "denied"
			}
			if said := tcpdmatch(t, folder, v4); said != want {
				t.Errorf("%q and %d more: libwrap says %s, we say %s", head, length, said, want)
			}
		}
	}
}
