//go:build artest

package check

import (
	"cmp"
	"os"
)

// In a build for the end-to-end tests these are made up, as the test says. A build for
// use has no such door.

func systemRoot() string { return cmp.Or(os.Getenv("AR_TEST_ROOT"), "/") }

func systemProc() string { return os.Getenv("AR_TEST_PROC") }

func installOwner() int { return os.Geteuid() }
