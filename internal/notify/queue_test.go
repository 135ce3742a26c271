package notify

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who may write in the folder above the state can put another in its place at any time. A
// deliverer that is at work goes on in the one that it opened, and nobody begins in a false
// one: no file elsewhere is touched.
func TestQueueFolderSwapped(t *testing.T) {
	for _, swap := range []struct {
		name string
		do   func(state, victim string) error
	}{
		{"folders of another queue that lead elsewhere", func(state, victim string) error {
			mail := filepath.Join(state, "mail")
			return errors.Join(os.MkdirAll(mail, 0o755), os.Symlink(victim, mail+"/new"), os.Symlink(victim, mail+"/ready"), os.Symlink(victim, mail+"/failed"),
				os.Symlink(victim, mail+"/tmp"), os.Chmod(state, 0o777))
		}},
		{"a link to another state", func(state, victim string) error { return os.Symlink(filepath.Dir(victim), state) }},
		{"a pipe", func(state, _ string) error { return syscall.Mkfifo(state, 0o600) }},
		{"a queue that is a link", func(state, victim string) error {
			return errors.Join(os.Mkdir(state, 0o700), os.Symlink(victim, filepath.Join(state, "mail")))
		}},
		{"a queue that others may write in", func(state, _ string) error {
			mail := filepath.Join(state, "mail")
			return errors.Join(os.MkdirAll(mail, 0o700), os.Chmod(mail, 0o770))
		}},
	} {
		t.Run(swap.name, func(t *testing.T) {
			s, _ := newMailServer(t, false, false)
			h := newHouse(t, s.conf(""), "")
			c := newClock()
			d := h.deliverer(c)
			h.queueUp(c, "203.0.113.7", "5712")
			victim := filepath.Join(t.TempDir(), "mail")
			files := []string{"1.json", "progress.json", "ready/2.json", "new/3.json", "failed/4.json"}
			for _, name := range files {
				h.write(filepath.Join(victim, name), "{}")
			}
			state := h.home.State()
			if err := errors.Join(os.Rename(state, state+".moved"), swap.do(state, victim)); err != nil {
				t.Fatal(err)
			}
			step(t, d, c)
			if m := s.next(); !strings.HasSuffix(m.subject, "203.0.113.7") {
				t.Errorf("subject %q", m.subject)
			}
			for _, command := range [][]string{{"queue"}, {"queue", "--json"}, {"queue", "--drop", "all"}, {"queue", "--retry", "all"}, {"flush"}, {"add", "203.0.113.8"}, {deliverCommand}} {
				if status, stdout, stderr := h.run("", command...); status != 1 || stdout != "" || !strings.Contains(stderr, "the mail queue: ") {
					t.Errorf("%v: status %d, %q, %q", command, status, stdout, stderr)
				}
			}
			for _, name := range files {
				if text, err := os.ReadFile(filepath.Join(victim, name)); err != nil || string(text) != "{}" {
					t.Errorf("%s: %q, %v", name, text, err)
				}
			}
			if err := filepath.WalkDir(filepath.Dir(victim), func(path string, e os.DirEntry, err error) error {
				if err == nil && !e.IsDir() && filepath.Ext(path) != ".json" {
					t.Errorf("%s was made", path)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
			if err := errors.Join(os.RemoveAll(state), os.Rename(state+".moved", state)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A file that is not called as those of the queue is none, and what it holds is not shown.
func TestQueueShowsNoEscapes(t *testing.T) {
	h := newHouse(t, "", "")
	c := newClock()
	h.queueUp(c, "203.0.113.7", "5712")
	const foreign = "\x1b]0;gotcha\x07.json"
	for name, text := range map[string]string{foreign: "{}", "1.json": `{"error":"550 \u001b[31mno\u009b"}`, "../progress.json": `{"error":"\u001b[2J"}`} {
		h.write(filepath.Join(h.home.MailQueue(), dirFailed, name), text)
	}
	for _, args := range [][]string{{"queue"}, {"queue", "--json"}, {"queue", "--drop", "all"}} {
		status, stdout, stderr := h.run("", args...)
		if status != 0 || strings.ContainsAny(stdout+stderr, "\x1b\x07") || strings.Contains(stdout, "gotcha") || args[len(args)-1] == "queue" && !strings.Contains(stdout, `550 \x1b[31mno\u009b`) {
			t.Errorf("%v: status %d, %q, %q", args, status, stdout, stderr)
		}
	}
	if _, err := os.Lstat(filepath.Join(h.home.MailQueue(), dirFailed, foreign)); err != nil {
		t.Error(err)
	}
}

// Who asks for another attempt while a deliverer is about to leave gets it.
func TestRetryAskedAtTheEnd(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	c := newClock()
	d := h.deliverer(c)
	attempts := 0
	d.send = func(context.Context, Settings, []string, []byte) (map[string]error, error) {
		if attempts++; attempts == 1 {
			if status, stdout, stderr := h.run("", "queue", "--retry", "all"); status != 0 || stdout != "trying 1 again\n" {
				t.Errorf("status %d, %q, %q", status, stdout, stderr)
			}
		}
		return nil, errors.New("down")
	}
	h.queueUp(c, "203.0.113.7", "5712")
	c.add(settleTime)
	lock, err := d.queue.tryLock()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.work(context.Background(), lock, func() time.Duration { return 0 }); err != nil || attempts != 2 {
		t.Errorf("%v, %d attempts", err, attempts)
	}
}

// What keeps a flush from its work stands in the log.
func TestFlushFailsInTheLog(t *testing.T) {
	h := newHouse(t, onlyOps, "")
	c := newClock()
	c.add(-time.Minute) // settled
	h.queueUp(c, "203.0.113.7", "5712")
	tmp := filepath.Join(h.home.MailQueue(), dirTmp)
	if err := os.Remove(tmp); err != nil {
		t.Fatal(err)
	}
	h.write(tmp, "")
	const want = "delivering mail: writing to the mail queue: "
	if status, _, stderr := h.run("", "flush"); status != 1 || !strings.Contains(stderr, want) || !strings.Contains(h.log(), " error - - - - - Failed: "+want) {
		t.Errorf("status %d, %q, log %q", status, stderr, h.log())
	}
}

// onlyOps mails to one, by a server that is not there.
const onlyOps = "<ossec_config><global><email_to>ops@example.org</email_to><smtp_server>192.0.2.1</smtp_server></global></ossec_config>"
