// Package release is what the responses unban and allow do: a daemon's call frees an address
// everywhere on this host, so that a manager frees it on all its agents with the means that it has.
// The work is ossec-ar's, which logs what it freed.
package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/record"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const (
	// deadline bounds a whole call.
	deadline = 2 * time.Minute
	// allowed is how long an address stays on the whitelist when no delete ends it.
	allowed = 24 * time.Hour
)

// Unban frees the address of an add; a delete has nothing to do. It returns the exit status.
func Unban(env app.Env) int {
	return run(env, "unban", func(r arproto.Request) []string {
		if r.Action == arproto.Delete {
			return nil
		}
		return []string{"unban", r.Addr.String()}
	})
}

// Allow is Unban, and the address is on the whitelist until the delete, or for a day. What an
// administrator whitelisted for good stays: who may call responses is not who decides that.
func Allow(env app.Env) int {
	return run(env, "allow", func(r arproto.Request) []string {
		if r.Action == arproto.Delete {
			return []string{"whitelist", "remove", "--limited", r.Addr.String()}
		}
		limit := allowed
		if r.Timeout > 0 {
			limit = r.Timeout
		}
		return []string{"unban", r.Addr.String(), "--allow", limit.String()}
	})
}

// run carries out a call by the words for ossec-ar that a request comes to. A person's other words
// are those of ossec-ar unban.
func run(env app.Env, name string, words func(arproto.Request) []string) int {
	p := app.New(env, name)
	call, asked, status := p.ReadCall("unban")
	if !asked {
		return status
	}
	log := record.Log{Program: &p, JSON: call.Settings.Log.JSON, Off: call.DryRun}
	err := call.Fault
	if err == nil && !call.Request.Addr.IsValid() {
		err = call.NoTarget(false)
	}
	said := ""
	if err == nil {
		said, err = tool(&p, &call, name, words(call.Request))
	}
	if err != nil {
		p.Complain(err)
		if call.Fault == nil || !call.ByHand {
			log.Write(record.Entry{Status: arlog.StatusError, Message: arlog.Failed(err), About: call.Request})
		}
		return app.ExitFailed
	}
	if strings.HasSuffix(said, " was not blocked\n") {
		log.Write(record.Entry{Status: arlog.StatusSkip, About: call.Request,
			Message: record.Skipped(target.Of(call.Request.Addr), "was not blocked")})
	}
	if call.ByHand {
		fmt.Fprint(p.Stdout, said)
	}
	return app.ExitOK
}

// tool runs ossec-ar and returns what it printed.
func tool(p *app.Program, call *app.Call, name string, words []string) (string, error) {
	if words == nil {
		return "", nil
	}
	if call.Conn != nil && call.Request.Action == arproto.Add {
		// Wazuh's daemon sends the delete only to who asks; whether it holds the address does not matter.
		keys := []string{call.Request.Key()}
		if _, err := call.Conn.CheckKeys(name, keys, call.Settings.Wazuh.ReplyTimeout.Duration); err != nil {
			p.Complain(fmt.Errorf("asking the daemon: %w (it is freed all the same)", err))
		}
	}
	path := p.Tool()
	if err := app.CheckTool(path); err != nil {
		return "", fmt.Errorf("ossec-ar frees addresses, and it is not run: %w", err)
	}
	if call.DryRun {
		words = append(words, "--dry-run")
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	out, err := exec.CommandWith(ctx, p.ToolEnv(nil), path, "", words...)
	var failed *exec.Error
	if errors.As(err, &failed) && failed.Stderr != "" {
		return "", errors.New(strings.ReplaceAll(failed.Stderr, "ossec-ar: ", ""))
	}
	return string(out), err
}
