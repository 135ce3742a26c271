// Package man holds the manual pages.
package man

import "embed"

// Pages are the pages, in troff.
//
//go:embed *.8 *.5
var Pages embed.FS
