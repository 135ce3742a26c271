package notify

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/mail"
)

//go:embed templates/*.tmpl
var builtIn embed.FS

// The parts of a mail that have a template each.
const (
	partSubject = "subject"
	partText    = "text"
	partHTML    = "html"
)

// parts are the names of all templates.
var parts = []string{partSubject, partText, partHTML}

// builtInTemplate returns the template of a part that the program brings along.
func builtInTemplate(part string) (string, error) {
	data, err := builtIn.ReadFile("templates/" + part + ".tmpl")
	if err != nil {
		return "", fmt.Errorf("there is no template %.40q; there are %s", part, strings.Join(parts, ", "))
	}
	return string(data), nil
}

// ownTemplate returns the path of the administrator's own template of a part, "" for none.
func ownTemplate(s *mail.Settings, part string) string {
	return map[string]string{partSubject: s.Subject, partText: s.Text, partHTML: s.HTML}[part]
}

const (
	// maxTemplate bounds a template file, and maxPart what one template makes, in bytes.
	maxTemplate = 1 << 20
	maxPart     = 16 << 20
)

// errTooLong says that a part gets too long.
var errTooLong = errors.New("the message is too long")

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
	var t interface {
		Execute(w io.Writer, data any) error
	}
	var err error
	if part == partHTML {
		t, err = htmltemplate.New(part).Parse(source)
	} else {
		t, err = texttemplate.New(part).Parse(source)
	}
	if err == nil {
		err = t.Execute(out, v)
	}
	return out.String(), err
}

// errTemplate says that an administrator's template is broken; the built-in one serves
// in its place.
var errTemplate = errors.New("broken template")

// errNoPart says that not even the built-in template made a part.
var errNoPart = errors.New("composing the mail")

// render makes one part of a mail: by the administrator's template, or by the built-in one
// when there is none or it fails, which is an error too. It is errNoPart when there is no
// part.
func (j *job) render(part string, v View) (string, error) {
	var fault error
	if source, own := j.Templates[part]; own {
		out, err := execute(part, source, v)
		if err == nil {
			return out, nil
		}
		fault = fmt.Errorf("%w %s: %w", errTemplate, ownTemplate(j.Settings, part), err)
	}
	source, err := builtInTemplate(part)
	if err != nil {
		return "", err
	}
	out, err := execute(part, source, v)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoPart, err)
	}
	return out, errors.Join(fault, err)
}

// checkTemplates tries the administrator's templates on samples of every kind.
func (j *job) checkTemplates() error {
	var faults []error
	for part := range j.Templates {
		for _, sample := range samples(j.Now) {
			if _, err := j.render(part, makeView(j.Settings, sample, j.Now, time.Local)); err != nil {
				faults = append(faults, err)
				break
			}
		}
	}
	return errors.Join(faults...)
}
