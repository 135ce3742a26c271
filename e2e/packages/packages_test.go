package packages

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	first  = "1.0.0"
	second = "1.1.0"
)

// made is where the packages of both versions are, one folder a version.
var made string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		// Programs for administrators are often not on a person's PATH.
		os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/go/bin:/usr/sbin:/sbin")
		var err error
		if made, err = os.MkdirTemp("", "ar-packages-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(made)
		return m.Run()
	}())
}

// needs skips the test unless it was asked for and the programs are here.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	asked := os.Getenv("AR_PACKAGE_TESTS")
	if asked == "" {
		t.Skip("takes minutes: make package-test runs it")
	}
	var missing []string
	if os.Getuid() != 0 {
		missing = append(missing, "root")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		missing = append(missing, "Linux on amd64 or arm64")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if missing != nil {
		lacks(t, "needs "+strings.Join(missing, ", "))
	}
}

// lacks skips the test, or fails it where it is required.
func lacks(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("AR_PACKAGE_TESTS") == "require" {
		t.Fatalf("AR_PACKAGE_TESTS=require: %s", reason)
	}
	t.Skip(reason)
}

// output runs a command and gives all that it prints.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// build makes packages from the sources in a folder.
func build(t *testing.T, source, out, version string, env ...string) {
	t.Helper()
	cmd := exec.Command("make", "-s", "packages", "PACKAGES="+out, "VERSION="+version)
	cmd.Dir = source
	cmd.Env = append(append(os.Environ(), "COMPRESSION=gzip"), env...)
	output(t, cmd)
}

// version gives the folder with the packages of a version, which it makes once. The first
// has all of them, for both architectures.
func version(t *testing.T, number string) string {
	t.Helper()
	dir := filepath.Join(made, number)
	if _, err := os.Stat(filepath.Join(dir, "SHA256SUMS")); err == nil {
		return dir
	}
	if number == first {
		build(t, "../..", dir, number)
	} else {
		build(t, "../..", dir, number, "ARCHS="+runtime.GOARCH, "FORMATS=deb rpm")
	}
	return dir
}

// pick gives the one package of a version and kind for this machine.
func pick(t *testing.T, number, kind string) string {
	t.Helper()
	arch := runtime.GOARCH
	if kind == "rpm" {
		arch = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	}
	found, err := filepath.Glob(filepath.Join(version(t, number), "*"+arch+"."+kind))
	if err != nil || len(found) != 1 {
		t.Fatalf("the %s packages of %s: %q, %v", kind, number, found, err)
	}
	return found[0]
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// tree gives the paths below a folder and what is there: a link's target, a file's text.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, dir)
		switch {
		case entry.IsDir():
			found[name] = "folder"
		case entry.Type() == fs.ModeSymlink:
			found[name], err = os.Readlink(path)
		default:
			var text []byte
			text, err = os.ReadFile(path)
			found[name] = string(text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sameTree(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is left", when, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if text, ok := got[name]; !ok {
			t.Errorf("%s: %s is gone", when, name)
		} else if text != want[name] {
			t.Errorf("%s: %s is not what it was", when, name)
		}
	}
}

// TestReproducible: from a copy of the sources in another folder, in another zone, with
// another umask and no git, come the same bytes.
func TestReproducible(t *testing.T) {
	needs(t, "make", "git")
	dir := version(t, first)
	sums := strings.TrimSpace(read(t, filepath.Join(dir, "SHA256SUMS")))
	if names := regexp.MustCompile(`(?m)^[0-9a-f]{64}  ossec-ar[-_]`+regexp.QuoteMeta(first)).FindAllString(sums, -1); len(names) != 6 || strings.Count(sums, "\n") != 5 {
		t.Errorf("SHA256SUMS has not the six packages:\n%s", sums)
	}
	check := exec.Command("sha256sum", "-c", "--quiet", "SHA256SUMS")
	check.Dir = dir
	output(t, check)

	listed := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	listed.Dir = "../.."
	files, err := listed.Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "somewhere else", "src")
	for name := range strings.SplitSeq(strings.Trim(string(files), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join("../..", name)) // a link is as good as the file
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		write(t, filepath.Join(source, name), read(t, filepath.Join("../..", name)), info.Mode()&0o700)
	}
	stamp := exec.Command("git", "log", "-1", "--format=%ct")
	stamp.Dir = "../.."
	again := filepath.Join(made, "again")
	build(t, source, again, first, "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8",
		"SOURCE_DATE_EPOCH="+strings.TrimSpace(output(t, stamp)))
	if got := strings.TrimSpace(read(t, filepath.Join(again, "SHA256SUMS"))); got != sums {
		t.Errorf("the second run gave other bytes:\n%s\nthe first\n%s", got, sums)
	}
}

// TestArchive: install.sh in the unpacked tar.gz works without Go.
func TestArchive(t *testing.T) {
	needs(t, "make", "git", "tar")
	dir := t.TempDir()
	found, _ := filepath.Glob(filepath.Join(version(t, first), "*_"+runtime.GOARCH+".tar.gz"))
	if len(found) != 1 {
		t.Fatalf("archives: %q", found)
	}
	output(t, exec.Command("tar", "-C", dir, "-xf", found[0]))
	source := filepath.Join(dir, "ossec-ar-"+first)
	for _, name := range []string{"README.md", "LICENSE", "CHANGELOG.md", "THIRD-PARTY", "SECURITY.md", "docs/man/ossec-ar.8", "contrib/ossec/ssh.xml"} {
		if _, err := os.Stat(filepath.Join(source, name)); err != nil {
			t.Error(err)
		}
	}
	cmd := exec.Command("./install.sh", "--home", filepath.Join(dir, "home"), "--no-deps", "--no-system")
	cmd.Dir = source
	cmd.Env = []string{"PATH=/usr/bin:/bin", "GO=/nonexistent/go"}
	said := output(t, cmd)
	if !strings.Contains(said, "installing the programs in "+source+"/dist (") {
		t.Errorf("install.sh said\n%s", said)
	}
	if said = output(t, exec.Command(filepath.Join(dir, "home/active-response/bin/firewall-drop.sh"), "--version")); !strings.Contains(said, first) {
		t.Errorf("--version says %s", said)
	}
	if said = output(t, exec.Command(filepath.Join(dir, "home/bin/ossec-ar"), "--version")); !strings.Contains(said, first) {
		t.Errorf("ossec-ar --version says %s", said)
	}
}

// TestLintian: no errors and no warnings but those that packaging/lintian-overrides explains.
func TestLintian(t *testing.T) {
	needs(t, "make", "git", "lintian")
	found, _ := filepath.Glob(filepath.Join(version(t, first), "*.deb"))
	if len(found) != 2 {
		t.Fatalf("packages: %q", found)
	}
	for _, deb := range found {
		if said := output(t, exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", deb)); said != "" {
			t.Errorf("lintian says\n%s", said)
		}
	}
}

// TestSigned: the commands of docs/upkeep.md sign the checksums, and notice what was changed.
func TestSigned(t *testing.T) {
	needs(t, "ssh-keygen")
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	output(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "releases", "-f", key))
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "allowed_signers"), `releases namespaces="ossec-ar" `+string(public), 0o644)
	build(t, "../..", dir, first, "ARCHS="+runtime.GOARCH, "FORMATS=tar.gz", "SIGNING_KEY="+key)
	verify := func() error {
		cmd := exec.Command("sh", "-c", "ssh-keygen -Y verify -f allowed_signers -I releases -n ossec-ar -s SHA256SUMS.sig <SHA256SUMS && "+
			"sha256sum --check --ignore-missing SHA256SUMS")
		cmd.Dir = dir
		return cmd.Run()
	}
	if err := verify(); err != nil {
		t.Errorf("as it was made: %v", err)
	}
	sums := filepath.Join(dir, "SHA256SUMS")
	data, err := os.ReadFile(sums)
	if err != nil {
		t.Fatal(err)
	}
	write(t, sums, strings.ToUpper(string(data)), 0o644)
	if verify() == nil {
		t.Error("changed checksums are accepted")
	}
}
