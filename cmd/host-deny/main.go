// Command host-deny enters the addresses that OSSEC or Wazuh ask to block into /etc/hosts.deny.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/hostsdeny"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() { os.Exit(respond.Main(app.OS(), hostsdeny.Kind)) }
