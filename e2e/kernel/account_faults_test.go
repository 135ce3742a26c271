package kernel

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ossec-ar/ossec-ar/internal/account"
	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
)

// TestAccountRecordLost: of an account whose state before is not recorded nobody says that it is open
// again, also not when it was closed once more without the record, as ossec-ar maintain does.
func TestAccountRecordLost(t *testing.T) {
	if !Isolated(t) {
		return
	}
	dir := t.TempDir()
	accounts(t, nil) // what is needed for it
	e, err := account.Kind.New(config.Default(), dir)
	if err != nil {
		t.Fatal(err)
	}
	who := addUser(t, "mallory")
	before := shadowOf(t, "mallory")
	block(t, e, who)
	must(t, os.Remove(dir+"/disable-account.before"))
	for _, step := range []string{"lost", "closed again"} {
		if step != "lost" {
			block(t, e, who)
		}
		err := e.Unblock(t.Context(), who)
		if err == nil || !strings.Contains(err.Error(), "usermod -U -e '' mallory") {
			t.Errorf("%s: unlocking it: %v, want the way to do it", step, err)
		}
	}
	command(t, "usermod", "--login", "married", "mallory")
	if err := e.Unblock(t.Context(), who); err == nil || !strings.Contains(err.Error(), "usermod -U -e '' married") {
		t.Errorf("renamed: unlocking it: %v, want the way to do it", err)
	}
	command(t, "usermod", "--login", "mallory", "married")
	command(t, "usermod", "-U", "-e", "", "mallory")
	unblock(t, e, who)
	if d := cmp.Diff(before, shadowOf(t, "mallory")); d != "" {
		t.Errorf("-before +after:\n%s", d)
	}
	block(t, e, who)
	unblock(t, e, who)
	if d := cmp.Diff(before, shadowOf(t, "mallory")); d != "" {
		t.Errorf("it is not recorded the next time (-before +after):\n%s", d)
	}
}

// TestAccountBeingEdited: while somebody has the accounts in an editor (vipw) none is locked, and who
// reads the error learns what to end.
func TestAccountBeingEdited(t *testing.T) {
	if !Isolated(t) {
		return
	}
	e := accounts(t, nil)
	who := addUser(t, "mallory")
	must(t, os.WriteFile("/etc/passwd.lock", fmt.Append(nil, os.Getpid()), 0o600))
	_, err := e.Block(t.Context(), who, enforcer.Unknown)
	if err == nil || !strings.Contains(account.Kind.Hint(err), "vipw") {
		t.Fatalf("Block: %v (hint: %s)", err, account.Kind.Hint(err))
	}
	must(t, os.Remove("/etc/passwd.lock"))
	block(t, e, who)
	unblock(t, e, who)
}
