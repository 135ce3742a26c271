package enforcertest_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/control"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/respond"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// folder is the smallest enforcer: a file for each blocked address. ARCHITECTURE.md names it as the
// size of what a new one has to add.
type folder string

// path is that of a target; a network's name has a slash.
func (f folder) path(addr target.Target) string {
	return filepath.Join(string(f), strings.ReplaceAll(addr.String(), "/", "_"))
}

func (f folder) Block(_ context.Context, addr target.Target, _ enforcer.Known) (out enforcer.Outcome, err error) {
	if _, err := os.Stat(string(f)); err != nil {
		out.Made = true
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return out, err
	}
	return out, os.WriteFile(f.path(addr), nil, 0o600)
}

func (f folder) Unblock(_ context.Context, addr target.Target) error {
	return os.RemoveAll(f.path(addr))
}

func (f folder) BlockAll(ctx context.Context, addrs []target.Target) error {
	for _, addr := range addrs {
		if _, err := f.Block(ctx, addr, enforcer.Unknown); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) UnblockAll(ctx context.Context, addrs []target.Target) error {
	for _, addr := range addrs {
		if err := f.Unblock(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) List(context.Context) (l enforcer.Listing, err error) {
	files, err := os.ReadDir(string(f))
	for _, file := range files {
		l.Blocks = append(l.Blocks, enforcer.Block{Target: target.MustParse(strings.ReplaceAll(file.Name(), "_", "/"))})
	}
	if os.IsNotExist(err) {
		err = nil
	}
	return l, err
}

func (f folder) Mend(context.Context) ([]string, error) { return nil, nil }

func (f folder) Flush(context.Context) error { return os.RemoveAll(string(f)) }

func (f folder) Describe(addr target.Target) string { return "touch " + f.path(addr) }

// TestSmallest: a new enforcer is its methods and a Kind. With these it keeps the contract, is a
// response, and is one of ossec-ar's.
func TestSmallest(t *testing.T) {
	enforcertest.Contract(t, folder(filepath.Join(t.TempDir(), "contract")))

	home := filepath.Join(t.TempDir(), "ossec")
	place := folder(filepath.Join(home, "blocked"))
	kind := enforcer.Kind{Name: "touch-file", Summary: "touch a file for each attacker",
		New: func(config.Config, string) (enforcer.Enforcer, error) { return place, nil }}
	var out bytes.Buffer
	env := app.Env{
		Args:          []string{home + "/active-response/bin/touch-file", "add", "-", "203.0.113.7", "1.1", "5712"},
		StdinTerminal: true, Stdout: &out, Stderr: &out, Dir: "/", OssecHome: home, Now: time.Now, Proc: "/proc",
	}
	if status := respond.Main(env, kind); status != 0 {
		t.Fatalf("add: exit status %d: %s", status, out.String())
	}
	if _, err := os.Stat(place.path(target.MustParse("203.0.113.7"))); err != nil {
		t.Error(err)
	}
	if err := place.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	env.Args = []string{home + "/bin/ossec-ar", "maintain"}
	if status := control.Main(env, kind); status != 0 {
		t.Fatalf("maintain: exit status %d: %s", status, out.String())
	}
	env.Args = []string{home + "/bin/ossec-ar", "list"}
	if status := control.Main(env, kind); status != 0 || !strings.Contains(out.String(), "203.0.113.7  blocked  touch-file") {
		t.Errorf("list: exit status %d: %s", status, out.String())
	}
}
