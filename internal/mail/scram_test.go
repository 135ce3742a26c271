package mail

import (
	"strings"
	"testing"

	"github.com/ossec-ar/ossec-ar/internal/mail/mailtest"
)

const scramLogin = "<auth_smtp>yes</auth_smtp><smtp_user>" + mailtest.User + "</smtp_user><smtp_password>s3cret &quot;p&amp;w</smtp_password>"

func TestScramCount(t *testing.T) {
	for _, r := range []struct{ name, count, want string }{
		{"usual", "4096", ""},
		{"as many as may be", "1000000", ""},
		{"one more", "1000001", errIterations.Error()},
		{"for ever", "9000000000000000000", errIterations.Error()},
		{"the greatest", "9223372036854775807", errIterations.Error()},
		{"the greatest, signed", "+9223372036854775807", errIterations.Error()},
		{"the greatest, followed by an extension", "9223372036854775807,x=y", errIterations.Error()},
		{"no number", "9e18", "invalid iterations"},
		{"too great a number", "9223372036854775808", "invalid iterations"},
		{"none", "", "invalid iterations"},
	} {
		for _, secure := range []bool{false, true} {
			name := r.name + ", in the clear"
			if secure {
				name = r.name + ", encrypted"
			}
			t.Run(name, func(t *testing.T) {
				s, _ := mailtest.New(t, secure, false)
				s.Set(func(s *mailtest.Server) { s.Mechs, s.Count = []string{"SCRAM-SHA-256"}, r.count })
				dialogue, err := mustLoad(t, s.Conf(scramLogin), "").sendAll(t)
				if r.want == "" {
					if err != nil {
						t.Fatalf("%v\n%s", err, dialogue)
					}
					s.Next()
					s.Set(func(s *mailtest.Server) {
						if s.Mech != "SCRAM-SHA-256" || s.Encrypted != secure {
							t.Errorf("logged in by %q, encrypted %v", s.Mech, s.Encrypted)
						}
					})
					return
				}
				if err == nil ||
					!strings.Contains(err.Error(), `logging in as "mailer" with SCRAM-SHA-256: `) ||
					!strings.Contains(err.Error(), r.want) {
					t.Errorf("%v\n%s", err, dialogue)
				}
				s.None()
			})
		}
	}
}
