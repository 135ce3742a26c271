package stats

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progressAfter is how long something takes before progress is shown.
const progressAfter = time.Second

// progressBar draws one line over and over.
type progressBar struct {
	out   io.Writer
	now   func() time.Time
	began time.Time
	drawn bool
}

// show draws the bar, or takes it away when all is done.
func (b *progressBar) show(done, all int64) {
	switch {
	case done >= all:
		if b.drawn {
			fmt.Fprint(b.out, "\r\x1b[K")
		}
		b.drawn = false
	case b.now().Sub(b.began) >= progressAfter:
		const width = 30
		part := int(done * width / all)
		fmt.Fprintf(b.out, "\rreading [%s%s] %3d%% of %d MiB", strings.Repeat("#", part), strings.Repeat(" ", width-part), done*100/all, all>>20)
		b.drawn = true
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
