package notify

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"os"
	"strings"
	texttemplate "text/template"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed templates/*.tmpl
var builtIn embed.FS

// The parts of a mail that have a template each.
const (
	partSubject = "subject"
	partText    = "text"
	partHTML    = "html"
)

// Parts are the names of all templates.
var Parts = []string{partSubject, partText, partHTML}

// BuiltIn returns the template of a part that the program brings along.
func BuiltIn(part string) (string, error) {
	data, err := builtIn.ReadFile("templates/" + part + ".tmpl")
	if err != nil {
		return "", fmt.Errorf("there is no template %.40q; there are %s", part, strings.Join(Parts, ", "))
	}
	return string(data), nil
}

// templateFile names the administrator's own template of a part, "" for none.
func (s *Settings) templateFile(part string) string {
	switch part {
	case partSubject:
		return s.Subject
	case partText:
		return s.Text
	}
	return s.HTML
}

const (
	// maxTemplate bounds a template file, and maxPart what one template makes, in bytes.
	maxTemplate = 1 << 20
	maxPart     = 16 << 20
)

var errTooLong = errors.New("the template makes too much")

// bounded is a buffer that refuses more than max bytes.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.max {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}

// execute runs one template, text or HTML by its part.
func execute(part, source string, v View) (string, error) {
	out := &bounded{max: maxPart}
	var run func(io.Writer, any) error
	if part == partHTML {
		t, err := htmltemplate.New(part).Parse(source)
		if err != nil {
			return "", err
		}
		run = t.Execute
	} else {
		t, err := texttemplate.New(part).Parse(source)
		if err != nil {
			return "", err
		}
		run = t.Execute
	}
	if err := run(out, v); err != nil {
		return "", err
	}
	return out.String(), nil
}

// errTemplate says that an administrator's template is broken; the built-in one serves
// in its place.
var errTemplate = errors.New("broken template")

// errNoPart says that not even the built-in template made a part.
var errNoPart = errors.New("composing the mail")

// render makes one part of a mail: by the administrator's template, or by the built-in
// one when there is none or it fails, which the error tells. It is errNoPart when there is
// no part.
func (s *Settings) render(part string, v View) (string, error) {
	var fault error
	if path := s.templateFile(part); path != "" {
		source, err := readTemplate(path)
		if err == nil {
			var out string
			if out, err = execute(part, source, v); err == nil {
				return out, nil
			}
		}
		fault = fmt.Errorf("%w %s: %w", errTemplate, path, err)
	}
	source, err := BuiltIn(part)
	if err != nil {
		return "", err
	}
	out, err := execute(part, source, v)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoPart, err)
	}
	return out, errors.Join(fault, err)
}

func readTemplate(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer file.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(file, maxTemplate+1))
	if err == nil && len(data) > maxTemplate {
		err = fmt.Errorf("it is larger than %d bytes", maxTemplate)
	}
	return string(data), err
}

// CheckTemplates tries the administrator's templates on samples of every kind.
func (s *Settings) CheckTemplates(now time.Time) error {
	var faults []error
	for _, part := range Parts {
		if s.templateFile(part) == "" {
			continue
		}
		for _, sample := range samples(now) {
			if _, err := s.render(part, makeView(*s, sample, now, time.Local)); err != nil {
				faults = append(faults, err)
				break
			}
		}
	}
	return errors.Join(faults...)
}
