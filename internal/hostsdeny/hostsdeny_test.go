package hostsdeny

import (
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer/enforcertest"
	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

func TestContract(t *testing.T) {
	for _, options := range []Options{{}, {Allow: true}, {Daemons: "sshd, vsftpd"}} {
		e, path := newFile(t, plain)
		options.Path, options.LockPath = path, e.file.LockPath
		enforcertest.Contract(t, New(options))
		wantFile(t, path, plain)
		wantAlone(t, path)
	}
}

// TestBehindARule: in a file that allows as well, an entry behind another rule is open, and
// blocking again puts one where it counts.
func TestBehindARule(t *testing.T) {
	e, path := newFile(t, "ALL : 1.2.3.5 : deny\nALL : ALL : allow\nALL : 1.2.3.4 : deny\n")
	e.form = newForm("", true)
	open := func() (open []target.Target) {
		listing, err := e.List(t.Context())
		if err != nil || len(listing.Blocks) != 2 {
			t.Errorf("listed are %+v, %v; want two", listing, err)
		}
		for _, b := range listing.Blocks {
			if b.Open != "" {
				open = append(open, b.Target)
			}
		}
		return open
	}
	if got := open(); !slices.Equal(got, []target.Target{v4}) {
		t.Errorf("open are %v, want %s", got, v4)
	}
	if err := e.BlockAll(t.Context(), []target.Target{v4, v4}); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "ALL : 1.2.3.4 : deny\nALL : 1.2.3.5 : deny\nALL : ALL : allow\nALL : 1.2.3.4 : deny\n")
	if got := open(); len(got) > 0 {
		t.Errorf("open are %v, want none", got)
	}
}

func TestKind(t *testing.T) {
	settings := config.Default()
	settings.HostDeny.Daemons = "sshd"
	made, err := Kind.New(settings, "/state")
	e := made.(*Enforcer)
	if err != nil || e.file.Path != DefaultPath || e.file.LockPath != "/state/hosts.deny.lock" ||
		e.form.daemons != "sshd" || !Kind.InFile {
		t.Errorf("New: %+v, %v", e, err)
	}
	if made, err := Kind.New(settings, ""); err != nil || made.(*Enforcer).file.LockPath != "" {
		t.Errorf("New without a folder: %+v, %v", made, err)
	}
	for err, want := range map[error]string{fs.ErrPermission: "root", linefile.ErrChanged: "another program",
		io.EOF: ""} {
		if got := Kind.Hint(err); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("the hint on %v is %q, want %q in it", err, got, want)
		}
	}
}
