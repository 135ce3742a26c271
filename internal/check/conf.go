package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// conf is ossec.conf by blocks.
type conf struct {
	path   string
	blocks []*block // in the order in which they open
	names  []string // of everything directly under a root
	// entries are all <white_list> and <allow_list>.
	entries []entry
	err     error
	unread  bool // nothing at all was read
}

// block is one <command>, <active-response>, <localfile> and so on.
type block struct {
	name   string
	root   int // which root it is in
	place  int // counts all blocks
	line   int // of its first element
	fields []field
}

// field is one element in a block.
type field struct {
	name, text string
	raw        string // with the blanks around it
	line       int
}

// entry is one entry of OSSEC's white list.
type entry struct {
	field
	global bool // in <global>, where OSSEC reads it
}

func readConf(path string) conf {
	c := conf{path: path, unread: true}
	byNumber := map[int]*block{}
	c.err = ossec.ReadConf(path, func(e ossec.Element) {
		c.unread = false
		f := field{e.Path[len(e.Path)-1], e.Text, e.Raw, e.Line}
		if f.name == "white_list" || f.name == "allow_list" {
			c.entries = append(c.entries, entry{f, len(e.Path) > 1 && e.Path[len(e.Path)-2] == "global"})
		}
		if len(e.Path) < 2 {
			return
		}
		c.names = append(c.names, e.Path[1])
		fresh := func() *block {
			b := &block{name: e.Path[1], root: e.Root, place: len(c.blocks), line: e.Line}
			c.blocks = append(c.blocks, b)
			return b
		}
		switch {
		case len(e.Path) == 2: // a block with nothing in it
			fresh()
		case len(e.Path) == 3:
			b := byNumber[e.Parent]
			if b == nil {
				b = fresh()
				byNumber[e.Parent] = b
			}
			b.fields = append(b.fields, f)
		}
	})
	return c
}

// agent reports whether the file is an agent's: only there is it said who the server is.
func (c *conf) agent() bool { return slices.Contains(c.names, "client") }

// all returns the blocks of one name.
func (c *conf) all(name string) []*block {
	var out []*block
	for _, b := range c.blocks {
		if b.name == name {
			out = append(out, b)
		}
	}
	return out
}

// at returns the place of a line for a message.
func (c *conf) at(line int) string { return fmt.Sprintf("%s:%d", c.path, line) }

// get returns the last element of that name; one that stands twice counts as OSSEC
// reads it, the last one over the first.
func (b *block) get(name string) (field, bool) {
	for _, f := range slices.Backward(b.fields) {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

// text returns the text of an element, "" when there is none.
func (b *block) text(name string) string {
	f, _ := b.get(name)
	return f.text
}

// yes reports whether an element says yes.
func (b *block) yes(name string) bool { return strings.EqualFold(b.text(name), "yes") }

// configuration looks at ossec.conf and active-response.toml as files.
type configuration struct{ *host }

// confFile reports whether the file can be read at all.
func (h configuration) confFile(_ context.Context, s *sheet) {
	switch c := h.conf; {
	case errors.Is(c.err, os.ErrNotExist):
		s.fault("put it back", "there is no %s, without which no daemon starts", c.path)
	case errors.Is(c.err, ossec.ErrBrokenConf):
		for text := range strings.SplitSeq(errors.Unwrap(c.err).Error(), "\n") {
			place := c.path
			if number, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok {
				place, text = c.path+":"+number, rest
			}
			s.fault("correct the tags in "+place, "%s: %s", place, text)
		}
	case c.err != nil:
		s.fault(toRead(c.path, c.err), "%v", c.err)
	case c.unread:
		s.fault("write it anew", "%s has nothing in it", c.path)
	case c.agent():
		h.prologue(s)
		s.ok("%s can be read; it is an agent's", c.path)
	default:
		h.prologue(s)
		s.ok("%s can be read; it is a server's", c.path)
	}
}

// prologue looks for what stands before the first tag and older daemons refuse: they then do not
// start.
func (h configuration) prologue(s *sheet) {
	const most = 1024 // bytes
	file, err := state.Open(h.conf.path)
	if err != nil {
		return // confFile reports it
	}
	defer file.Close()
	head, _ := io.ReadAll(io.LimitReader(file, most)) // what could be read is looked at
	text, marked := strings.CutPrefix(string(head), "\ufeff")
	if marked {
		s.warn(`sed -i '1s/^\xef\xbb\xbf//' `+h.conf.path,
			"%s begins with a byte order mark, which older daemons refuse: they then do not start",
			h.conf.path)
	}
	if strings.HasPrefix(strings.TrimSpace(text), "<?") {
		s.warn(`sed -i '1s/<?[^>]*?>//' `+h.conf.path,
			"%s begins with an XML declaration, which older daemons refuse: they then do not start",
			h.conf.path)
	}
}

// settingsFile reports the faults in active-response.toml, each with its place.
func (h configuration) settingsFile(_ context.Context, s *sheet) {
	dirs := h.Home.SettingsDirs()
	settings := h.Home.Settings()
	if h.SettingsFault == nil {
		if _, err := os.Stat(settings); err != nil {
			s.ok("there is none, which is fine: all is at its default")
		}
		s.ok("%s can be read and has no unknown key", settings)
		return
	}
	for text := range strings.SplitSeq(h.SettingsFault.Error(), "\n") {
		path := settings
		for _, dir := range dirs { // the one that the fault is in
			if file := filepath.Join(dir, filepath.Base(settings)); strings.Contains(text, file) {
				path = file
			}
		}
		place := path
		if line, _, ok := strings.Cut(strings.TrimPrefix(text, path+":"), ":"); ok && digits(line) {
			place = path + ":" + line
		}
		mend := "correct " + place
		if _, nearest, ok := strings.Cut(text, "did you mean "); ok {
			mend = fmt.Sprintf("write %s in %s", strings.TrimSuffix(nearest, "?"), place)
		}
		if strings.HasPrefix(text, "reading configuration: ") {
			mend = toRead(path, h.SettingsFault) + ", or remove it"
		}
		if strings.Contains(text, config.ErrForeign.Error()) {
			mend = "put what you want of it into " + settings + ", which must be root's alone, and remove it"
		}
		s.fault(mend, "%s", text)
	}
}

// toRead is what lets a file be read that could not.
func toRead(path string, err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "put " + path + " there"
	case errors.Is(err, state.ErrLarge):
		return "make " + path + " smaller"
	case errors.Is(err, state.ErrNotPlain), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ELOOP):
		return "make " + path + " a plain file"
	}
	return "look why root cannot read " + path + ": `ls -l`, `mount`, `dmesg`"
}

// quote shows text from a configuration.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strconv.QuoteToASCII(text)
}
