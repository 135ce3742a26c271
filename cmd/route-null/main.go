// Command route-null routes the way back to the addresses that OSSEC or Wazuh ask to block into a blackhole.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/nullroute"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() { os.Exit(respond.Main(app.OS(), nullroute.Kind)) }
