package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ossec-ar/ossec-ar/internal/state"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// toolName is the administrator's tool, which does what daemons have no use for.
const toolName = "ossec-ar"

// Tool returns where the administrator's tool of this home is.
func (p *Program) Tool() string { return filepath.Join(string(p.Home), "bin", toolName) }

// CheckTool returns why the tool at path is not to be run, nil when it may. A missing one is an
// error that errors.Is os.ErrNotExist.
func CheckTool(path string) error {
	if err := state.Trusted(path); err != nil {
		return err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return errors.Join(err, fmt.Errorf("%s is not an executable file", path))
	}
	return nil
}

// ToolEnv returns env for a run of the tool, with this program's home in it.
func (p *Program) ToolEnv(env []string) []string {
	const home = "OSSEC_HOME="
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, home) })
	return append(env, home+string(p.Home))
}

// RunTool replaces this process by the tool with args: the home's, else the one beside this
// executable. Where there is none it says so and returns the exit status.
func (p *Program) RunTool(args ...string) int {
	path := p.Tool()
	err := CheckTool(path)
	if errors.Is(err, os.ErrNotExist) {
		if self, serr := os.Executable(); serr == nil {
			beside := filepath.Join(filepath.Dir(self), "../../bin", toolName)
			if berr := CheckTool(beside); !errors.Is(berr, os.ErrNotExist) {
				path, err = beside, berr
			}
		}
	}
	switch {
	case err == nil:
		err = syscall.Exec(path, append([]string{path}, args...), p.ToolEnv(os.Environ()))
		err = fmt.Errorf("running %s: %w", path, err)
	case errors.Is(err, os.ErrNotExist):
		err = fmt.Errorf("%s is for %s to do, and it is not installed in %s",
			arproto.Quote(p.Arguments()[0]), toolName, filepath.Dir(p.Tool()))
	default:
		err = fmt.Errorf("%s is not run: %w", toolName, err)
	}
	p.Complain(err)
	return ExitFailed
}
