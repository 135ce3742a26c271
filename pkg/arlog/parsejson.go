package arlog

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"github.com/valyala/fastjson"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// fields are where the address may stand in an alert.
type fields struct {
	paths [][]string // in pieces
	// keys are what may stand in front of a dot in a key that is a path in itself, with the
	// quotation mark before it: "source.ip".
	keys [][]byte
	// ends marks the last bytes of keys: most dots stand behind digits.
	ends [256]bool
}

func newFields(paths []string) *fields {
	if paths == nil {
		paths = arproto.DefaultAddressFields()
	}
	f := &fields{keys: [][]byte{[]byte(`"rule`)}} // of "rule.id"
	for _, path := range paths {
		pieces := strings.Split(path, ".")
		f.paths = append(f.paths, pieces)
		for _, piece := range pieces[:len(pieces)-1] {
			key := []byte(`"` + piece)
			if !slices.ContainsFunc(f.keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
				f.keys = append(f.keys, key)
			}
		}
	}
	for _, key := range f.keys {
		f.ends[key[len(key)-1]] = true
	}
	return f
}

// parseJSON reads a request, in whatever shape arproto knows. The check_keys dialogue
// is JSON too, but no request.
func (p *Parser) parseJSON(text []byte, f *Fields) error {
	f.JSON = text
	doc, err := p.json.ParseBytes(text)
	if err != nil {
		return ErrNoEntry
	}
	switch string(doc.GetStringBytes("command")) {
	case "abort":
		f.Step = Aborted
		return ErrNoEntry
	case "check_keys", "continue":
		f.Step = Dialogue
		return ErrNoEntry
	}
	if p.fields == nil {
		p.fields = newFields(p.AddressFields)
	}
	alert := doc.Get("parameters", "alert")
	if alert == nil || p.fields.dotted(text) {
		return parseOther(text, p.AddressFields, f)
	}
	switch string(doc.GetStringBytes("command")) {
	case string(arproto.Add):
		f.Status = StatusAdd
	case string(arproto.Delete):
		f.Status = StatusDelete
	default:
		return ErrNoEntry
	}
	if !p.fields.address(alert, f) {
		f.Status = ""
		return parseOther(text, p.AddressFields, f) // names in another case, or none
	}
	f.RuleID = present(alert.Get("rule", "id"))
	f.AlertID = present(alert.Get("id"))
	f.Description = alert.GetStringBytes("rule", "description")
	return nil
}

// address takes the first field that holds an address, as arproto does.
func (a *fields) address(alert *fastjson.Value, f *Fields) bool {
	for _, path := range a.paths {
		text := alert.GetStringBytes(path...)
		if len(text) == 0 {
			continue
		}
		f.Addr = parseAddr(text)
		if f.Addr.IsValid() && !f.Addr.IsUnspecified() && bytes.IndexByte(text, '%') < 0 {
			return true
		}
		var err error
		if f.Addr, err = arproto.ParseAddr(string(text)); err == nil {
			return true
		}
	}
	return false
}

// dotted reports whether a key may be a path in itself, which arproto reads.
func (a *fields) dotted(text []byte) bool {
	for at := 0; ; at++ {
		dot := bytes.IndexByte(text[at:], '.')
		if dot < 0 {
			return false
		}
		at += dot
		if at == 0 || !a.ends[text[at-1]] {
			continue
		}
		for _, key := range a.keys {
			if bytes.HasSuffix(text[:at], key) {
				return true
			}
		}
	}
}

// present returns a text or number as text, and nothing for the ways of writing "none".
func present(v *fastjson.Value) []byte {
	if v == nil {
		return nil
	}
	var text []byte
	switch v.Type() {
	case fastjson.TypeString:
		text = v.GetStringBytes()
	case fastjson.TypeNumber:
		text = v.MarshalTo(nil)
	}
	if s := string(text); s == "-" || s == "(null)" {
		return nil
	}
	return text
}

// parseOther reads a request of a rarer shape.
func parseOther(text []byte, addressFields []string, f *Fields) error {
	r, err := arproto.ParseJSON(text, addressFields)
	var refused *arproto.AddressError
	if !r.Addr.IsValid() && (err == nil || errors.As(err, &refused)) {
		f.Step = NoAddress
	}
	if err != nil || !r.Addr.IsValid() {
		return ErrNoEntry
	}
	f.Status, f.Addr = Status(r.Action), r.Addr
	f.AlertID, f.RuleID, f.Description = []byte(r.AlertID), []byte(r.RuleID), []byte(r.Description)
	return nil
}
