package app

// Version is set by the Makefile with -ldflags -X.
var Version = "devel"
