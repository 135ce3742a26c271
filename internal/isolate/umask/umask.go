// Package umask is imported by tests of what believes no file that a group may write to: it sets the
// umask of their process, which for ordinary users is often 002.
package umask

import "syscall"

func init() { syscall.Umask(0o022) }
