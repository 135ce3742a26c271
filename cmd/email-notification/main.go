// Command email-notification puts a notice into the mail queue for each address that OSSEC
// or Wazuh saw attack; ossec-ar delivers it.
package main

import (
	"os"

	"github.com/ossec-ar/ossec-ar/internal/app"
	"github.com/ossec-ar/ossec-ar/internal/notice"
)

func main() { os.Exit(notice.Main(app.OS(), notice.Mail)) }
