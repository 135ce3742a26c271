// Package version holds the version of the suite.
package version

// Version is set by the Makefile with -ldflags -X.
var Version = "devel"
