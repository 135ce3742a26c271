// Command ip-customblock puts the addresses that OSSEC or Wazuh ask to block where another program reads them.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/blockfile"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() { os.Exit(respond.Main(app.OS(), blockfile.Kind)) }
