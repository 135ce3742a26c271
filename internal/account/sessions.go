package account

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// endSessions kills what an account runs, if so configured.
func (e *Enforcer) endSessions(ctx context.Context, f *files, name string) error {
	if !e.settings.Sessions {
		return nil
	}
	uid := f.passwd[name].uid
	// What starts while the list is read is found the next time.
	for range 50 {
		pids, err := processes(uid)
		if err != nil {
			return fmt.Errorf("ending its sessions: %w", err)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("ending its process %d: %w", pid, err)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.New("it is locked, and its processes start faster than they can be ended")
}

// processes returns the processes of a user that have not ended.
func processes(uid int) (pids []int, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && runs(string(status), strconv.Itoa(uid)) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// runs reports whether a process, by its status of proc_pid_status(5), is one of that user and
// has not ended. The owner of its folder in /proc says nothing: it is root for sshd's sessions.
func runs(status, uid string) bool {
	of := false
	for line := range strings.Lines(status) {
		switch words := strings.Fields(line); {
		case len(words) < 2:
		case words[0] == "State:" && (words[1] == "Z" || words[1] == "X"):
			return false
		case words[0] == "Uid:":
			of = words[1] == uid
		}
	}
	return of
}
