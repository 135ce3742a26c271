package notify

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// The exit statuses of a sendmail program that mean that trying again is of no use
// (sysexits.h): EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOHOST.
var sendmailFinal = map[int]bool{64: true, 65: true, 67: true, 68: true}

// sendProgram hands one mail to a sendmail program. See sendSMTP for what it returns.
func sendProgram(ctx context.Context, s Settings, to []string, message []byte, trace func(string, ...any)) (map[string]error, error) {
	ctx, cancel := context.WithTimeout(ctx, dataFactor*s.stepTimeout())
	defer cancel()
	// -i: a line with a dot alone does not end the mail. It wants the line ends of the
	// system.
	args := slices.Concat(s.arguments, []string{"-i", "-f", s.From.Address, "--"}, to)
	text := strings.ReplaceAll(string(message), "\r\n", "\n")
	_, err := exec.Command(ctx, s.Server, text, args...)
	switch {
	case err == nil:
		trace("%s took the mail", s.Server)
		return all(to, nil), nil
	case sendmailFinal[exec.Status(err)]:
		trace("%s refused the mail: %v", s.Server, err)
		return all(to, refused{err}), nil
	}
	return nil, err
}

// send hands one mail to the server or the program that is set.
func send(ctx context.Context, s Settings, to []string, message []byte, trace func(string, ...any)) (map[string]error, error) {
	if trace == nil {
		trace = func(string, ...any) {}
	}
	if s.sendmail() {
		return sendProgram(ctx, s, to, message, trace)
	}
	return sendSMTP(ctx, s, to, message, trace)
}

// executable returns what keeps the program at path from being run.
func executable(path string) error {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Mode()&0o111 == 0) {
		err = fmt.Errorf("%s is no program", path)
	}
	if err != nil {
		return fmt.Errorf("looking at the mail program: %w", err)
	}
	return nil
}
