// This file writes the manual page of a program from the same definitions that its
// help text comes from, so that the two cannot disagree. The pages in docs/man are its
// output, and a test compares them.
package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// Text is what a manual page says beyond the help text.
type ManText struct {
	Name        string      // of the program, whatever it was invoked as
	Description []string    // paragraphs
	Files       [][2]string // name and what it is
	Exit        [][2]string // status and what it means
	SeeAlso     []string    // "iptables(8)"
}

// Command returns the hidden command `man`, which writes the page to the app's Writer.
func ManCommand(text ManText) *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "write the manual page", Hidden: true, HideHelpCommand: true,
		Action: func(c *cli.Context) error { return ManWrite(c.App.Writer, c.App, text) },
	}
}

// Write writes the page in the man(7) macros, section 8.
func ManWrite(w io.Writer, frame *cli.App, text ManText) error {
	p := &page{}
	p.line(`.TH %s 8 "" "ossec\-ar" "Active responses for OSSEC and Wazuh"`,
		strings.ToUpper(escape(text.Name)))
	p.section("NAME")
	p.line(`%s \- %s`, escape(text.Name), escape(frame.Usage))
	p.section("SYNOPSIS")
	p.line(".nf")
	for line := range strings.Lines(strings.ReplaceAll(frame.UsageText, frame.Name, text.Name)) {
		p.text(strings.TrimRight(line, "\n"))
	}
	p.line(".fi")
	p.section("DESCRIPTION")
	for i, paragraph := range text.Description {
		if i > 0 {
			p.line(".PP")
		}
		p.text(paragraph)
	}
	if flags := visible(frame.Flags); len(flags) > 0 {
		p.section("OPTIONS")
		p.flags(flags)
	}
	if len(frame.Commands) > 0 {
		p.section("COMMANDS")
		p.commands("", frame.Commands)
	}
	p.list("FILES", text.Files)
	p.list("EXIT STATUS", text.Exit)
	if len(text.SeeAlso) > 0 {
		p.section("SEE ALSO")
		p.text(strings.Join(text.SeeAlso, ", "))
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// page gathers the lines of a page.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(title string) { p.line(".SH %s", title) }

// text writes a line of plain text, which must not be taken for a macro.
func (p *page) text(s string) {
	s = escape(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	p.line("%s", s)
}

func (p *page) entry(term, meaning string) {
	p.line(".TP")
	p.line(`\fB%s\fR`, escape(term))
	p.text(meaning)
}

func (p *page) list(title string, entries [][2]string) {
	if len(entries) == 0 {
		return
	}
	p.section(title)
	for _, e := range entries {
		p.entry(e[0], e[1])
	}
}

// commands writes what each command does; of one that has others below it, those.
func (p *page) commands(above string, commands []*cli.Command) {
	for _, c := range commands {
		switch {
		case c.Hidden || c.Name == "help":
			continue
		case len(c.Subcommands) > 0:
			p.commands(above+c.Name+" ", c.Subcommands)
			continue
		}
		p.entry(strings.TrimSpace(above+c.Name+" "+c.ArgsUsage), c.Usage)
		if flags := visible(c.Flags); len(flags) > 0 {
			p.line(".RS")
			p.flags(flags)
			p.line(".RE")
		}
	}
}

func (p *page) flags(flags []cli.Flag) {
	for _, f := range visible(flags) {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		var names []string
		for _, n := range f.Names() {
			dashes := "--"
			if len(n) == 1 {
				dashes = "-"
			}
			names = append(names, dashes+n)
		}
		term := strings.Join(names, ", ")
		if doc.TakesValue() {
			term += " VALUE"
		}
		p.entry(term, doc.GetUsage())
	}
}

// visible leaves out the flags that are hidden or the library's own for completion.
func visible(flags []cli.Flag) []cli.Flag {
	var out []cli.Flag
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		if names := f.Names(); names[0] == "generate-bash-completion" {
			continue
		}
		out = append(out, f)
	}
	return out
}

// escape keeps troff from reading anything into a text (groff_char(7), man(7)).
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
}
