// Command custom-response shows how to write an active response of your own on the
// suite's public packages. It keeps a file with one blocked address a line, which some
// other program (a proxy, a game server) reads.
//
//	custom-response add - 203.0.113.7 1304756247.60385 5712
//
// It understands OSSEC's and Wazuh's daemons, honours a whitelist, and writes the log
// line that their rules read.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

// home is two folders above the program, which is in active-response/bin.
func home() string { return filepath.Join(filepath.Dir(os.Args[0]), "..", "..") }

func main() {
	request, err := respond()
	entry := arlog.Entry{
		Time: time.Now(), Program: os.Args[0],
		Addr: request.Addr, AlertID: request.AlertID, RuleID: request.RuleID,
		Wazuh: request.Dialect.JSON(), JSON: request.JSON,
	}
	var skipped skipError
	switch {
	case errors.As(err, &skipped):
		entry.Status, entry.Message = arlog.StatusSkip, arlog.Skipped(request.Addr, skipped.why)
		err = nil
	case err != nil:
		entry.Status, entry.Message = arlog.StatusError, arlog.Failed(err)
	case request.Action == arproto.Add:
		entry.Status, entry.Message = arlog.StatusAdd, arlog.Blocked(request.Addr, request.RuleID, request.User)
	default:
		entry.Status, entry.Message = arlog.StatusDelete, arlog.Unblocked(request.Addr, request.User)
	}
	logErr := arlog.Append(filepath.Join(home(), "logs/active-responses.log"), arlog.Group(home()), entry)
	if err = errors.Join(err, logErr); err != nil {
		fmt.Fprintln(os.Stderr, "custom-response:", err)
		os.Exit(1)
	}
}

// skipError says that nothing was done, on purpose.
type skipError struct{ why string }

func (e skipError) Error() string { return e.why }

// respond reads the request and carries it out. The request is never nil.
func respond() (*arproto.Request, error) {
	const patience = 10 * time.Second
	conn := arproto.NewConn(os.Stdin, os.Stdout)
	var request *arproto.Request
	var err error
	if len(os.Args) > 1 {
		request, err = arproto.ParseArgs(os.Args[1:])
	} else {
		request, err = conn.ReadRequest(patience, nil)
	}
	if err != nil {
		return request, err
	}
	if !request.Addr.IsValid() {
		return request, errors.New("the request has no address")
	}
	if request.Action == arproto.Add {
		var never whitelist.List
		never.AddBuiltIn(whitelist.AllBuiltIn())
		never.AddFile(filepath.Join(home(), "etc/whitelist.d/custom"))
		if match, covered := never.Match(request.Addr); covered {
			return request, skipError{"whitelisted by " + match.String()}
		}
		if request.Dialect.JSON() {
			goOn, err := conn.CheckKeys("custom-response", []string{request.Key()}, patience)
			if err != nil {
				fmt.Fprintln(os.Stderr, "custom-response:", err) // and act all the same
			}
			if !goOn {
				return request, skipError{"the daemon already holds it"}
			}
		}
	}
	return request, edit(filepath.Join(home(), "active-response/custom-response.list"), request)
}

// edit adds the address to the file or takes it out. The file is in a folder that only root can write to:
// var and etc are the daemons' own on Wazuh, and whoever takes over a daemon must not choose what root reads
// and writes. The new file is a fresh one under a name that nobody can guess (os.CreateTemp follows no link),
// and its mode is set by its descriptor.
func edit(path string, request *arproto.Request) error {
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("locking the list: %w", err)
	}
	defer lock.Close() // which gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking the list: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the list: %w", err)
	}
	addr := request.Addr.String()
	lines := slices.DeleteFunc(strings.Fields(string(data)), func(line string) bool { return line == addr })
	if request.Action == arproto.Add {
		lines = append(lines, addr)
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), ".custom-response-*")
	if err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	_, err = fresh.WriteString(strings.Join(lines, "\n") + "\n")
	if err = errors.Join(err, fresh.Chmod(0o640), fresh.Sync(), fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the list: %w", errors.Join(err, os.Remove(fresh.Name())))
	}
	return nil
}
