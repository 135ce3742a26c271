package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/state"
)

// mailPost sends by mail.
type mailPost struct{ o *office }

func (p mailPost) configure() (outbox.Limits, error) {
	var err error
	p.o.settings, err = mail.Load(p.o.Home, p.o.config.Mail)
	return outbox.Limits{Unset: p.o.settings.Unset}, err
}

func (p mailPost) recipients(e *entry) []string {
	if e.Written() {
		to, _ := p.o.settings.General() // it was asked for before the report was queued
		return to
	}
	return p.o.settings.Recipients(e.RuleID, e.Facts.Level, e.Facts.Groups)
}

// templates returns the administrator's own, by part.
func (p mailPost) templates() map[string]string {
	own := map[string]string{}
	for _, part := range parts {
		path := ownTemplate(p.o.settings, part)
		if path == "" {
			continue
		}
		source, err := state.ReadTrusted(path, maxTemplate)
		if err != nil {
			p.o.fault(fmt.Errorf("%w %s: %w", errTemplate, path, err))
			continue
		}
		own[part] = string(source)
	}
	return own
}

// send sends the mail of a job. See outbox.Courier for what it returns.
func (p mailPost) send(ctx context.Context, j job) (a answer, result map[string]error, err error) {
	o := p.o
	j.Task = taskSend
	if o.settings.Program() {
		j.Task = taskFormat
	}
	a, err = o.delegate(ctx, j, o.settings.TotalTime())
	switch {
	case err != nil:
		a.Used = len(j.Entries)
		return a, nil, err
	case a.Failed != nil:
		return a, nil, a.Failed
	case j.Task == taskFormat:
		result, err = o.settings.SendProgram(ctx, j.To, a.Raw)
		return a, result, err
	}
	result = map[string]error{}
	for _, to := range j.To {
		failure, answered := a.Results[to]
		switch {
		case !answered:
			result[to] = errors.New("the server said nothing of " + to)
		case failure != nil:
			result[to] = failure
		}
	}
	return a, result, nil
}
