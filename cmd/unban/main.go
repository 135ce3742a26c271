// Command unban frees an address everywhere on this host, when OSSEC or Wazuh asks for it.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/release"
)

func main() { os.Exit(release.Unban(app.OS())) }
