package arproto

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// DefaultAddressFields are the fields of a Wazuh alert that hold the address, in
// the order in which they are tried: Wazuh's own programs ask Windows events first. A
// path starts at the alert (Wazuh 4: parameters.alert) or at the document (Wazuh 5).
func DefaultAddressFields() []string {
	return []string{
		"data.win.eventdata.ipAddress",
		"data.win.eventdata.destinationIp",
		"data.srcip",
		wazuh5Address,
	}
}

// wazuh5Address is where Wazuh 5 itself puts the address.
const wazuh5Address = "source.ip"

// ParseJSON reads one Wazuh request. addressFields is DefaultAddressFields when nil;
// in a request of Wazuh 5 source.ip, where it is among them, goes first. Names of
// fields are compared without regard to case, as cJSON does, which Wazuh uses.
// On an error the Request holds what could be read all the same, for the log.
func ParseJSON(line []byte, addressFields []string) (*Request, error) {
	r := &Request{Dialect: Wazuh4}
	if addressFields == nil {
		addressFields = DefaultAddressFields()
	}
	line = bytes.TrimSpace(line)
	value, err := decodeOne(line)
	if err != nil {
		return r, fmt.Errorf("reading the request: %w", err)
	}
	doc, isObject := value.(map[string]any)
	if !isObject {
		return r, fmt.Errorf("reading the request: %s is no JSON object", Quote(string(line)))
	}
	r.JSON = asciiLine(line)
	switch {
	case object(doc).has("parameters"):
		return r, r.fromWazuh4(doc, addressFields)
	case object(doc).has("wazuh.active_response"):
		r.Dialect = Wazuh5
		return r, r.fromWazuh5(doc, addressFields)
	}
	return r, fmt.Errorf("reading the request: neither \"parameters\" (Wazuh 4) nor \"wazuh.active_response\" (Wazuh 5) in it")
}

func (r *Request) fromWazuh4(doc object, addressFields []string) error {
	params := doc.object("parameters")
	alert := params.object("alert")
	r.Program = params.text("program")
	r.ExtraArgs = params.texts("extra_args")
	r.fromAlert(alert)
	r.AgentID, r.AgentName = alert.text("agent.id"), alert.text("agent.name")
	r.User = present(alert.text("data.dstuser"))
	for _, path := range []string{"data.srcuser", "data.win.eventdata.targetUserName"} {
		if r.User == "" {
			r.User = present(alert.text(path))
			r.UserActs = r.User != ""
		}
	}
	action, err := parseAction(doc.text("command"))
	if err != nil {
		return err
	}
	r.Action = action
	return r.address(alert, addressFields)
}

func (r *Request) fromWazuh5(doc object, addressFields []string) error {
	r.Program = doc.text("wazuh.active_response.executable")
	if extra := doc.text("wazuh.active_response.extra_arguments"); extra != "" {
		r.ExtraArgs = []string{extra}
	}
	if kind := doc.text("wazuh.active_response.type"); kind == "" || kind == "stateful" {
		r.Timeout = seconds(doc.text("wazuh.active_response.stateful_timeout"))
	}
	r.fromAlert(doc)
	r.AgentID, r.AgentName = doc.text("wazuh.agent.id"), doc.text("wazuh.agent.name")
	if r.RuleID == "" {
		r.RuleID = present(doc.text("wazuh.rule.id")) // 5.0.0-beta4
	}
	r.User = present(doc.text("user.name"))
	switch command := doc.text("command"); command {
	case "enable":
		r.Action = Add
	case "disable":
		r.Action = Delete
	default:
		return fmt.Errorf("unknown command %s: want enable or disable", Quote(command))
	}
	if at := slices.Index(addressFields, wazuh5Address); at > 0 {
		addressFields = append([]string{wazuh5Address},
			slices.Delete(slices.Clone(addressFields), at, at+1)...)
	}
	return r.address(doc, addressFields)
}

// maxTimeout bounds a timeout; what is longer is none that anybody waits for.
const maxTimeout = 100 * 365 * 24 * time.Hour

// seconds reads a timeout; 0 for none.
func seconds(text string) time.Duration {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > int64(maxTimeout/time.Second) {
		return 0
	}
	return time.Duration(n) * time.Second
}

// fromAlert reads what both shapes hold under the same names.
func (r *Request) fromAlert(alert object) {
	r.AlertID = present(alert.text("id"))
	r.RuleID = present(alert.text("rule.id"))
	r.Description = alert.text("rule.description")
	r.Groups = alert.texts("rule.groups")
	r.Level, _ = strconv.Atoi(alert.text("rule.level")) // no level is level 0
	r.FullLog = alert.text("full_log")
	for _, field := range []string{"timestamp", "@timestamp"} {
		for _, layout := range []string{"2006-01-02T15:04:05.999-0700", time.RFC3339Nano} {
			if t, err := time.Parse(layout, alert.text(field)); err == nil {
				r.Time = t
			}
		}
	}
}

// address takes the first field that holds an address. Where none does, the error is
// about the first that holds something else; there is none when all are empty.
func (r *Request) address(from object, fields []string) error {
	var refused error
	for _, path := range fields {
		value, _ := from.find(path)
		text, isText := value.(string)
		if value == nil || isText && present(strings.TrimSpace(text)) == "" {
			continue
		}
		addr, err := ParseAddr(text)
		switch {
		case !isText:
			err = &AddressError{fmt.Sprint(value), "it is not a text"}
		case err == nil:
			r.Addr = addr
			return nil
		}
		if refused == nil {
			refused = fmt.Errorf("no address in the request: none of wazuh.address_fields holds one: field %s: %w",
				path, err)
		}
	}
	return refused
}

// present turns the ways of writing "none" into "".
func present(text string) string {
	if text == "-" || text == "(null)" {
		return ""
	}
	return text
}

// object is a JSON object in which a path finds its value whether it is nested or
// written with dots in the names ("source.ip"). Its names are in lower case, and a
// path may be in any.
type object map[string]any

func (o object) find(path string) (any, bool) { return o.findLower(lower(path)) }

func (o object) findLower(path string) (any, bool) {
	if v, ok := o[path]; ok {
		return v, true
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		if inner, ok := o[path[:i]].(map[string]any); ok {
			if v, ok := object(inner).findLower(path[i+1:]); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// lower writes the letters of ASCII in lower case: other letters are those of no field,
// and some of them become one of ASCII in lower case.
func lower(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, name)
}

// has reports whether anything stands at or, in dotted names, under path, which is in lower case.
func (o object) has(path string) bool {
	if _, ok := o.find(path); ok {
		return true
	}
	for key := range o {
		if strings.HasPrefix(key, path+".") {
			return true
		}
		if inner, ok := o[key].(map[string]any); ok && strings.HasPrefix(path, key+".") &&
			object(inner).has(path[len(key)+1:]) {
			return true
		}
	}
	return false
}

func (o object) object(path string) object {
	v, _ := o.find(path)
	inner, _ := v.(map[string]any)
	return inner
}

// text returns a text or number at path as text, else "".
func (o object) text(path string) string {
	switch v, _ := o.find(path); v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func (o object) texts(path string) []string {
	v, _ := o.find(path)
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// decodeOne reads exactly one JSON value.
func decodeOne(line []byte) (any, error) {
	var whole json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(line))
	if err := dec.Decode(&whole); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if dec.InputOffset() != int64(len(line)) {
		return nil, fmt.Errorf("not JSON: something follows the object at byte %d", dec.InputOffset())
	}
	dec = json.NewDecoder(bytes.NewReader(whole))
	dec.UseNumber()
	return firstWins(dec)
}

// firstWins reads a value of valid JSON. Of a name that stands twice in an object the
// first counts, as it does for cJSON, which Wazuh's programs use, and for those who read
// the request in the log; encoding/json takes the last.
func firstWins(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			value, err := firstWins(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = dec.Token()
		return list, err
	case json.Delim('{'):
		o := map[string]any{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			value, err := firstWins(dec)
			if err != nil {
				return nil, err
			}
			key := lower(name.(string))
			if _, twice := o[key]; !twice {
				o[key] = value
			}
		}
		_, err = dec.Token()
		return o, err
	}
	return token, nil
}

// asciiLine writes valid JSON on one line in printable ASCII.
func asciiLine(valid []byte) []byte {
	var compact bytes.Buffer
	if err := json.Compact(&compact, valid); err != nil {
		return nil // not reached: it was decoded before
	}
	return printable.JSON(compact.Bytes())
}
