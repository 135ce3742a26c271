package mail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeSendmail writes a program that keeps its arguments and the mail beside itself, and
// ends as the file status says.
func fakeSendmail(t *testing.T, path string) string {
	t.Helper()
	const script = "#!/bin/sh\nd=${0%/*}\nprintf '%s\\n' \"$@\" > \"$d/args\"\ncat > \"$d/mail\"\nexit $(cat \"$d/status\")\n"
	if err := errors.Join(os.WriteFile(path, []byte(script), 0o755), os.WriteFile(filepath.Dir(path)+"/status", []byte("0"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func sendmailConf(server string) string {
	return "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>" + server + "</smtp_server><email_from>o@example.org</email_from></global></ossec_config>"
}

func TestSendmailProgram(t *testing.T) {
	dir := t.TempDir()
	settings := mustLoad(t, sendmailConf(fakeSendmail(t, filepath.Join(dir, "sendmail"))), "")
	for status, permanent := range map[int]bool{0: false, 75: false, 67: true} {
		write(t, filepath.Join(dir, "status"), fmt.Sprint(status))
		_, err := settings.sendAll(t)
		if (err != nil) != (status != 0) || errors.As(err, new(refusedError)) != permanent {
			t.Errorf("status %d: %v", status, err)
		}
		args, err := os.ReadFile(filepath.Join(dir, "args"))
		if err != nil || string(args) != "-i\n-f\no@example.org\n--\nops@example.org\n" {
			t.Errorf("arguments %q, %v", args, err)
		}
		mail, err := os.ReadFile(filepath.Join(dir, "mail"))
		if err != nil || strings.Contains(string(mail), "\r") ||
			!strings.Contains(string(mail), "\nSubject: x\n") {
			t.Errorf("mail %v\n%s", err, mail)
		}
	}
}

// OSSEC gives the whole value to a shell, and has the recipients taken from the mail.
func TestSendmailAsOSSECCallsIt(t *testing.T) {
	const ours = "-i\n-f\no@example.org\n--\nops@example.org\n"
	for _, r := range []struct{ file, after, args string }{
		{"sendmail", "", ours},
		{"sendmail", " -t", ours},
		{"sendmail", " -oem  -ti ", "-oem\n-i\n" + ours},
		{"msmtp", " -a office -t", "-a\noffice\n" + ours},
		{"send mail", "", ours}, // what has the whole for its name
		{"sendmail -t", "", ours},
		{"sendmail;", "", ours},
	} {
		t.Run(r.file+r.after, func(t *testing.T) {
			dir := t.TempDir()
			settings := mustLoad(t, sendmailConf(fakeSendmail(t, filepath.Join(dir, r.file))+r.after), "")
			if err := settings.Check(); err != nil {
				t.Error(err)
			}
			if _, err := settings.sendAll(t); err != nil {
				t.Error(err)
			}
			if args, err := os.ReadFile(filepath.Join(dir, "args")); err != nil || string(args) != r.args {
				t.Errorf("arguments %q, %v, want %q", args, err, r.args)
			}
		})
	}
	for _, after := range []string{" -t | tee x", " -t >/dev/null", " \"-t\"", " -t; true", " `x`", " -f $USER", " -t &amp;"} {
		if _, err := load(t, sendmailConf("/usr/sbin/sendmail"+after), ""); err == nil ||
			!strings.Contains(err.Error(), "no shell is used") {
			t.Errorf("%s: %v", after, err)
		}
	}
}
