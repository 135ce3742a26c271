// Package completions holds what makes shells complete the words of ossec-ar. Each script asks
// the program itself.
package completions

import _ "embed"

// The scripts.
var (
	//go:embed bash/ossec-ar
	Bash string
	//go:embed zsh/_ossec-ar
	Zsh string
	//go:embed fish/ossec-ar.fish
	Fish string
)
