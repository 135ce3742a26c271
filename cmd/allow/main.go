// Command allow frees an address everywhere on this host and keeps it on the whitelist for a while.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/release"
)

func main() { os.Exit(release.Allow(app.OS())) }
