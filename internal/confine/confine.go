// Package confine has work that strangers have a say in done by a process without rights: what a mail
// server or a chat service answers is read there, and what an attacker wrote is rendered. The work
// comes in by a pipe and what came of it goes out by another; when it takes too long the process is
// killed. It knows nothing of the work.
package confine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ossec-ar/ossec-ar/internal/exec"
)

// Word is how this program is called to do the work of Serve.
const Word = "confined-work"

// maxJob bounds a job, in bytes.
const maxJob = 128 << 20

// ErrCrashed says that the process ended before it was done.
var ErrCrashed = crashedError{errors.New("the process without rights did not finish")}

type crashedError struct{ error }

// Permanent reports that another attempt with the same job would end in the same way.
func (crashedError) Permanent() bool { return true }

// Run has a job done by this program as a process of its own, which calls Serve, and reads what came
// of it into answer. Whatever stands there was made by who may have become a stranger's. The process
// is killed when ctx ends.
func Run(ctx context.Context, job, answer any) error {
	data, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("writing the job: %w", err)
	}
	var env []string
	if zone, ok := os.LookupEnv("TZ"); ok {
		env = append(env, "TZ="+zone)
	}
	out, err := exec.CommandWith(ctx, env, "/proc/self/exe", string(data), Word)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("it took too long: %w", ctx.Err())
	case exec.Status(err) == notStarted:
		return fmt.Errorf("starting the process without rights: %w", err)
	case err != nil:
		return fmt.Errorf("%w: exit status %d", ErrCrashed, exec.Status(err))
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("%w: what it said makes no sense", ErrCrashed)
	}
	return nil
}

// notStarted is the exit status of a process that did nothing: it kept a right, or has no job.
const notStarted = 3

// Serve gives up all rights, reads a job, has it done and writes the answer. It returns the exit
// status.
func Serve[Job, Answer any](work func(context.Context, Job) Answer) int {
	if err := Drop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return notStarted
	}
	var job Job
	data, err := io.ReadAll(io.LimitReader(os.Stdin, maxJob))
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reading the job:", err)
		return notStarted
	}
	answer, err := json.Marshal(work(context.Background(), job))
	if err == nil {
		_, err = io.Copy(os.Stdout, bytes.NewReader(answer))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "writing the answer:", err)
		return 1
	}
	return 0
}
