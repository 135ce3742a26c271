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
	return request, edit(filepath.Join(home(), "var/blocked"), request)
}

// edit adds the address to the file or takes it out.
func edit(path string, request *arproto.Request) error {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the list: %w", err)
	}
	addr := request.Addr.String()
	lines := slices.DeleteFunc(strings.Fields(string(data)), func(line string) bool { return line == addr })
	if request.Action == arproto.Add {
		lines = append(lines, addr)
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(strings.Join(lines, "\n")+"\n"), 0o640); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return os.Rename(fresh, path)
}
