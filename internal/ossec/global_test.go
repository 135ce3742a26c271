package ossec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReadMail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ossec.conf")
	conf := `<ossec_config>
  <global>
    <email_to>a@example.org, b@example.org</email_to>
    <smtp_server>old.example.org</smtp_server>
    <smtp_port>2525</smtp_port>
    <email_maxperhour>many</email_maxperhour>
  </global>
  <email_alerts><email_to>not@example.org</email_to></email_alerts>
</ossec_config>
<ossec_config>
  <global>
    <email_to>c@example.org</email_to>
    <smtp_server>/usr/sbin/sendmail</smtp_server>
    <smtp_password>p&amp;q</smtp_password>
    <auth_smtp>yes</auth_smtp>
    <smtp_tls_verify>no</smtp_tls_verify>
    <secure_smtp>maybe</secure_smtp>
  </global>
</ossec_config>
`
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadMail(path)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := Mail{To: []string{"a@example.org", "b@example.org", "c@example.org"}, Server: "/usr/sbin/sendmail", Port: 2525, Auth: true, Password: "p&q", Verify: &no}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Mail{}, "Faults")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(got.Faults) != 2 || !strings.Contains(got.Faults[0].Error(), ":6: <email_maxperhour>: no number") || !strings.Contains(got.Faults[1].Error(), "<secure_smtp>") {
		t.Errorf("faults %v", got.Faults)
	}
}
