// Command disable-account locks the accounts that OSSEC or Wazuh ask to lock.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/account"
	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/respond"
)

func main() { os.Exit(respond.Main(app.OS(), account.Kind)) }
