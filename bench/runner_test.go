package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// accountOf gives an order to a runner that is this process.
func accountOf(t *testing.T, o order) account {
	t.Helper()
	o.Errors = filepath.Join(t.TempDir(), "errors")
	var in, out bytes.Buffer
	if err := json.NewEncoder(&in).Encode(o); err != nil {
		t.Fatal(err)
	}
	if err := serve(&in, &out); err != nil {
		t.Fatal(err)
	}
	var a account
	if err := json.NewDecoder(&out).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRunner(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		o := order{AtOnce: atOnce}
		for i := range 40 {
			status := "0"
			if i%4 == 1 {
				status = "3"
			}
			o.Commands = append(o.Commands, []string{"/bin/sh", "-c", "exit " + status})
		}
		a := accountOf(t, o)
		if a.Error != "" || len(a.Samples) != 40 {
			t.Fatalf("at once %t: %d samples, error %q", atOnce, len(a.Samples), a.Error)
		}
		for i, s := range a.Samples {
			if s.Failed != (i%4 == 1) || s.Took <= 0 || s.Took > a.Took || s.RSSKiB <= 0 {
				t.Errorf("at once %t: number %d: %+v of %s", atOnce, i, s, a.Took)
			}
		}
	}
}

// The end of a process is seen when it comes, though one that was started before still runs.
func TestRunnerSeesEachEnd(t *testing.T) {
	ended, free := filepath.Join(t.TempDir(), "ended"), filepath.Join(t.TempDir(), "free")
	if err := errors.Join(unix.Mkfifo(ended, 0o600), unix.Mkfifo(free, 0o600)); err != nil {
		t.Fatal(err)
	}
	a := accountOf(t, order{AtOnce: true, Commands: [][]string{
		{"/bin/sh", "-c", `read line <"$0"`, free},
		{"/bin/sh", "-c", `echo $$ >"$0"`, ended},
		// It lets the first go when the second is not even a zombie any more.
		{"/bin/sh", "-c", `read pid <"$0"; n=0; while kill -0 $pid 2>/dev/null && [ $n -lt 300000 ]; do n=$((n+1)); done; echo >"$1"; [ $n -lt 300000 ]`, ended, free},
	}})
	if a.Error != "" || a.Samples[2].Failed {
		t.Fatalf("the end of the second was not seen while the first ran (%q)", a.Error)
	}
	if first, second := a.Samples[0].Took, a.Samples[1].Took; first <= second {
		t.Errorf("the one that waits took %s, the one that does not %s", first, second)
	}
}

func TestRunnerOutput(t *testing.T) {
	printed := filepath.Join(t.TempDir(), "printed")
	a := accountOf(t, order{Output: printed, Commands: [][]string{{"/bin/sh", "-c", "pwd; cat"}}})
	text, err := os.ReadFile(printed)
	if err != nil || a.Error != "" || string(text) != "/\n" {
		t.Errorf("printed %q, %v, %s", text, err, a.Error)
	}
}

func TestRunnerMissingProgram(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		a := accountOf(t, order{AtOnce: atOnce, Commands: [][]string{{"/bin/sh", "-c", ":"},
			{"/nonexistent/program"}}})
		if !strings.Contains(a.Error, "starting /nonexistent/program") {
			t.Errorf("at once %t: %q", atOnce, a.Error)
		}
	}
}
