package mail

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/ossec-ar/ossec-ar/internal/exec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// The exit statuses of a sendmail program that mean that trying again is of no use
// (sysexits.h): EX_USAGE, EX_DATAERR, EX_NOUSER, EX_NOHOST.
var sendmailFinal = map[int]bool{64: true, 65: true, 67: true, 68: true}

// SendProgram hands one message to a sendmail program, which runs with this process's rights: it has
// a queue of its own. See Send for what it returns.
func (s *Settings) SendProgram(ctx context.Context, to []string, message []byte) (map[string]error, error) {
	if err := executable(s.Server); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dataFactor*s.Timeout.Duration)
	defer cancel()
	// -i: a line with a dot alone does not end the mail. It wants the line ends of the
	// system.
	args := slices.Concat(s.Arguments, []string{"-i", "-f", s.Sender.Address, "--"}, to)
	text := strings.ReplaceAll(string(message), "\r\n", "\n")
	_, err := exec.Command(ctx, s.Server, text, args...)
	switch {
	case err == nil:
		return all(to, nil), nil
	case sendmailFinal[exec.Status(err)]:
		return all(to, refusedError{err}), nil
	}
	return nil, err
}

// executable returns what keeps the program at path from being run, with all rights of this process.
func executable(path string) error {
	err := state.Trusted(path)
	var info os.FileInfo
	if err == nil {
		info, err = os.Stat(path)
	}
	if err == nil && (!info.Mode().IsRegular() || info.Mode()&0o111 == 0) {
		err = fmt.Errorf("%s is no program", path)
	}
	if err != nil {
		return fmt.Errorf("looking at the mail program: %w", err)
	}
	return nil
}
