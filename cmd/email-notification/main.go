// Command email-notification tells people by mail of the addresses that OSSEC or Wazuh
// saw attack, and by which responses they are blocked.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/notify"
)

func main() { os.Exit(notify.Main(app.OS())) }
