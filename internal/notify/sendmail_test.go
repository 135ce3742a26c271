package notify

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

func TestSendmailProgram(t *testing.T) {
	dir := t.TempDir()
	program := fakeSendmail(t, filepath.Join(dir, "sendmail"))
	h := newHouse(t, "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>"+program+"</smtp_server><email_from>o@example.org</email_from></global></ossec_config>", "")
	for status, want := range map[int]string{0: "", 75: stateWaiting, 67: stateRefused} {
		h.write(filepath.Join(dir, "status"), fmt.Sprint(status))
		c := newClock()
		d := h.deliverer(c)
		h.queueUp(c, fmt.Sprintf("203.0.113.%d", status), "5712")
		step(t, d, c)
		args, err := os.ReadFile(filepath.Join(dir, "args"))
		if err != nil || string(args) != "-i\n-f\no@example.org\n--\nops@example.org\n" {
			t.Errorf("arguments %q, %v", args, err)
		}
		mail, err := os.ReadFile(filepath.Join(dir, "mail"))
		if err != nil || strings.Contains(string(mail), "\r") || !strings.Contains(string(mail), "\nSubject: OSSEC Alert: ") {
			t.Errorf("mail %v\n%s", err, mail)
		}
		for _, state := range []string{stateWaiting, stateRefused} {
			if n := h.waiting(state); (n == 1) != (state == want) {
				t.Errorf("status %d: %d are %s", status, n, state)
			}
		}
		rows, _, err := d.queue.list()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := d.queue.remove(stateDirs[r.State], r.ID); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Remove(filepath.Join(d.queue.dir, "progress.json")); err != nil {
			t.Fatal(err)
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
			program := fakeSendmail(t, filepath.Join(dir, r.file))
			h := newHouse(t, "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>"+program+r.after+"</smtp_server><email_from>o@example.org</email_from></global></ossec_config>", "")
			if status, _, stderr := h.run("", "check", "--settings"); status != 0 {
				t.Errorf("check: status %d, %s", status, stderr)
			}
			if status, _, stderr := h.run("", "test"); status != 0 {
				t.Errorf("test: status %d, %s", status, stderr)
			}
			if args, err := os.ReadFile(filepath.Join(dir, "args")); err != nil || string(args) != r.args {
				t.Errorf("arguments %q, %v, want %q", args, err, r.args)
			}
		})
	}
	for _, after := range []string{" -t | tee x", " -t >/dev/null", " \"-t\"", " -t; true", " `x`", " -f $USER", " -t &amp;"} {
		h := newHouse(t, "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>/usr/sbin/sendmail"+after+"</smtp_server></global></ossec_config>", "")
		if status, _, stderr := h.run("", "check", "--settings"); status != 1 || !strings.Contains(stderr, "no shell is used") {
			t.Errorf("%s: status %d, %s", after, status, stderr)
		}
	}
}
