// Package app is what every program of the suite has in common: the outside that
// it sees, the name and home that it was invoked with, how it prints an error, and how
// it adds to a log under its home.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
)

// The exit statuses.
const (
	ExitOK     = 0 // what was asked for now holds, or was skipped on purpose
	ExitFailed = 1 // it does not hold; standard error and the log say why
)

// Env is all of the outside that a program uses.
type Env struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	StdinTerminal  bool
	StdoutTerminal bool
	NoColor        bool   // $NO_COLOR is set, or the terminal knows no colours
	Executable     string // the file that runs, links resolved; only for ossec-ar
	Dir            string // working directory
	OssecHome      string // $OSSEC_HOME
	Now            func() time.Time
	ParentPID      int
	Proc           string   // where procfs is mounted
	Resolver       Resolver // nil in a response, which asks no DNS server
	SSHConnection  string   // $SSH_CONNECTION
}

// Resolver is what programs need of *net.Resolver.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// OS returns the real outside.
func OS() Env {
	growStack(false)
	// OSSEC's execd hands its own queue down (descriptor 3 of 4.3), which no child of ours is to have.
	// An old kernel without the call leaves it so.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	allowFiles()
	dir, _ := os.Getwd() // only matters to a relative name, and then "" is as good
	return Env{
		Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		StdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		NoColor:        os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb",
		Dir:            dir, OssecHome: os.Getenv("OSSEC_HOME"),
		Now: time.Now, ParentPID: os.Getppid(), Proc: "/proc",
		SSHConnection: os.Getenv("SSH_CONNECTION"),
	}
}

// allowFiles raises a limit on the size of files that a daemon handed down, by which logs, leases and
// hosts.deny could not be written. The runtime does the same for the number of open files.
func allowFiles() {
	const enough = 1 << 30
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit) == nil && limit.Cur < enough {
		limit.Cur, limit.Max = enough, max(enough, limit.Max) // without the right to, it stays
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
	}
}

// Program is one run of a program.
type Program struct {
	Env
	Invoked string // path as invoked
	Name    string // its base name
	Home    ossec.Home
	// Hint, when set, gives advice on an error for a person, "" for none.
	Hint func(error) string
	// Accounts reports that it is called about accounts, and not about addresses.
	Accounts bool

	once map[string]bool // what was printed and is not printed again
}

// New returns the program that env invoked; name is used when env has none.
func New(env Env, name string) Program {
	p := Program{Env: env, Invoked: name, once: map[string]bool{}}
	if len(env.Args) > 0 && env.Args[0] != "" {
		p.Invoked = env.Args[0]
	}
	p.Name = filepath.Base(p.Invoked)
	p.Home = ossec.FindHome(p.Invoked, env.Dir, env.OssecHome)
	return p
}

// Arguments returns the arguments without the program's name.
func (p *Program) Arguments() []string { return p.Args[min(1, len(p.Args)):] }

// Path is the full path that the program was invoked as, for log lines. One that was
// found through $PATH or a relative path is given as if called in the home.
func (p *Program) Path() string {
	if filepath.IsAbs(p.Invoked) {
		return p.Invoked
	}
	return filepath.Join(p.Home.Programs(), p.Name)
}

// Complain prints an error, each line of it behind the program's name, and the hint
// that goes with it.
func (p *Program) Complain(err error) {
	for line := range strings.SplitSeq(printable.Lines(err.Error()), "\n") {
		fmt.Fprintf(p.Stderr, "%s: %s\n", p.Name, line)
	}
	switch {
	case errors.Is(err, os.ErrPermission) && os.Geteuid() != 0:
		p.Advise("run it as root")
	case p.Hint != nil:
		p.Advise(p.Hint(err))
	}
}

// MayWork reports whether this user may work on the home: root, or the owner of its state.
func (p *Program) MayWork() bool {
	user := os.Geteuid()
	if user == 0 {
		return true
	}
	info, err := os.Lstat(p.Home.State())
	if err != nil {
		info, err = os.Stat(string(p.Home))
	}
	return err == nil && int(info.Sys().(*syscall.Stat_t).Uid) == user
}

// KeepWriting makes a pipe that nobody reads any more an error of the write, as any other,
// instead of the end of the program: a daemon that stops closes its pipes, and what it asked
// for must be done all the same.
func (p *Program) KeepWriting() { signal.Ignore(unix.SIGPIPE) }

// Advise prints a hint, once; nothing for "".
func (p *Program) Advise(hint string) {
	if hint == "" || p.once[hint] {
		return
	}
	p.once[hint] = true
	fmt.Fprintf(p.Stderr, "%s: hint: %s\n", p.Name, printable.Lines(hint))
}

// Columns returns how wide the terminal is that w is, 0 when it is none.
func Columns(w io.Writer) int {
	if file, ok := w.(*os.File); ok {
		columns, _, _ := term.GetSize(int(file.Fd())) // an error of what is no terminal
		return columns
	}
	return 0
}

// AppendLog is WriteLog for a log that stops no program: a failure is printed, the same one once.
func (p *Program) AppendLog(path string, lines []byte) {
	if err := p.WriteLog(path, lines); err != nil && !p.once[err.Error()] {
		p.once[err.Error()] = true
		p.Complain(err)
	}
}

// WriteLog adds whole lines, with one write, to a log under the home, whose folder is made when
// it is missing.
func (p *Program) WriteLog(path string, lines []byte) error {
	group := arlog.Group(string(p.Home))
	err := arlog.AppendLines(path, group, lines)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o770); err == nil {
			_ = os.Chown(filepath.Dir(path), -1, group) // best effort, as for the log itself
			_ = os.Chmod(filepath.Dir(path), 0o770)     // whatever the umask: OSSEC's daemons log there, too
			err = arlog.AppendLines(path, group, lines)
		}
	}
	return err
}
