package report

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Progress is shown after a second, ten times a second.
const (
	progressAfter = time.Second
	progressEvery = time.Second / 10
)

// progressBar draws one line over and over.
type progressBar struct {
	out   io.Writer
	now   func() time.Time
	began time.Time
	drawn time.Time // when it was last; zero while it is not there
}

// show draws the bar, or removes it when all is done.
func (b *progressBar) show(done, all int64) {
	now := b.now()
	switch {
	case done >= all:
		if !b.drawn.IsZero() {
			fmt.Fprint(b.out, "\r\x1b[K")
		}
		b.drawn = time.Time{}
	case now.Sub(b.began) >= progressAfter && now.Sub(b.drawn) >= progressEvery:
		const width = 30
		part := int(done * width / all)
		fmt.Fprintf(b.out, "\rreading [%s%s] %3d%% of %d MiB", strings.Repeat("#", part),
			strings.Repeat(" ", width-part), done*100/all, all>>20)
		b.drawn = now
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
