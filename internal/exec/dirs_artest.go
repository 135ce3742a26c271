//go:build artest

package exec

import (
	"os"
	"path/filepath"
)

// Dirs are, in a build for the end-to-end tests, the folders that the test names, so
// that fakes can stand for the system's programs. A build for use has no such door.
var Dirs = filepath.SplitList(os.Getenv("AR_TEST_TOOLS"))
