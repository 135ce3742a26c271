// Command firewall-drop drops the packets of the addresses that OSSEC or Wazuh ask to block.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/firewall"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() { os.Exit(respond.Main(app.OS(), firewall.Kind)) }
