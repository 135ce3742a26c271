package arlog

import (
	"errors"
	"strings"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// parseJSON reads a request, as arproto does, and the check_keys dialogue, which is JSON too
// but no request. A request of the usual shape is read in a tenth of arproto's time.
func (p *Parser) parseJSON(text string, e *Entry) error {
	doc, err := p.json.Parse(text)
	if err != nil {
		return ErrNoEntry
	}
	command := string(doc.GetStringBytes("command"))
	switch command {
	case "abort":
		e.Step = Aborted
		return ErrNoEntry
	case "check_keys", "continue":
		e.Step = Dialogue
		return ErrNoEntry
	}
	text4 := func(path ...string) string {
		return string(doc.Get("parameters", "alert").GetStringBytes(path...))
	}
	e.Addr, e.AlertID, e.RuleID = parseAddr(text4("data", "srcip")), text4("id"), text4("rule", "id")
	if !e.Addr.IsValid() || e.Addr.IsUnspecified() || e.AlertID == "" || e.RuleID == "" ||
		command != string(arproto.Add) && command != string(arproto.Delete) ||
		p.AddressFields != nil || unusual(text) {
		return p.parseOther(text, e)
	}
	e.Status, e.Description = Status(command), text4("rule", "description")
	return nil
}

// unusual reports whether the text may hold a name with dots in it, a Windows event, whose
// address goes before data.srcip, a zone, or a way of writing "none".
func unusual(text string) bool {
	for _, sign := range []string{`"rule.`, `"data.`, `"win`, "%", "(null)", `"-"`} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// parseOther reads a request of a rarer shape.
func (p *Parser) parseOther(text string, e *Entry) error {
	r, err := arproto.ParseJSON([]byte(text), p.AddressFields)
	e.Addr, e.User = r.Addr, ""
	var refused *arproto.AddressError
	switch {
	case r.Addr.IsValid() && err == nil:
	case err == nil && r.User != "":
		e.User = r.User
	case err == nil || errors.As(err, &refused):
		e.Step = NoAddress
		return ErrNoEntry
	default:
		return ErrNoEntry
	}
	e.Status, e.AlertID, e.RuleID, e.Description = Status(r.Action), r.AlertID, r.RuleID, r.Description
	return nil
}
