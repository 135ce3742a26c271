package mail

import (
	"context"
	"errors"
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
	if err := s.Check(); err != nil {
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

// arguments returns what keeps a program from being run with arguments: a file that one of them names, its
// configuration perhaps, which others could change.
func arguments(args []string) error {
	for _, arg := range args {
		slash := strings.IndexByte(arg, '/')
		if slash < 0 {
			continue
		}
		option := arg[:slash] // -C/etc/x, -oQ/var/x, --file=/etc/x
		if option != "" && (option[0] != '-' || len(option) != 2 && !strings.HasSuffix(option, "=") &&
			(len(option) != 3 || option[1] != 'o')) {
			return fmt.Errorf("the mail program's argument %q has a path that does not begin with /", clip(arg))
		}
		if err := state.Trusted(arg[slash:]); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("looking at the mail program's arguments: %w", err)
		}
	}
	return nil
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
