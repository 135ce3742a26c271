package alerts

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// maxJSONLine bounds a line of alerts.json, in bytes; a longer one is skipped.
const maxJSONLine = 8 << 20

// scanJSON goes on to the next line that holds an alert.
func (s *Scanner) scanJSON() bool {
	for s.err == nil {
		s.raw = s.raw[:0]
		tooLong := false
		for {
			piece, err := s.in.ReadSlice('\n')
			if len(s.raw)+len(piece) > maxJSONLine {
				tooLong = true
				s.raw = s.raw[:0]
			}
			if !tooLong {
				s.raw = append(s.raw, piece...)
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			s.err = err
			break
		}
		if len(s.raw) > 0 && s.alert.parseJSON(s.raw) {
			return true
		}
	}
	return false
}

// jsonAlert is what alerts.json holds, in OSSEC's shape and in Wazuh's.
type jsonAlert struct {
	ID   jsonText `json:"id"`
	Rule struct {
		ID          jsonText `json:"id"`    // Wazuh
		SIDID       jsonText `json:"sidid"` // OSSEC
		Level       int      `json:"level"`
		Description string   `json:"description"` // Wazuh
		Comment     string   `json:"comment"`     // OSSEC
		Group       string   `json:"group"`       // OSSEC: "syslog,sshd,"
		Groups      []string `json:"groups"`
	} `json:"rule"`
	Time  string `json:"timestamp"` // Wazuh: RFC 3339 with a zone without a colon
	Agent struct {
		ID   jsonText `json:"id"`
		Name string   `json:"name"`
	} `json:"agent"`
	AgentName string   `json:"agent_name"`
	Hostname  string   `json:"hostname"`
	Location  string   `json:"location"`
	LogFile   string   `json:"logfile"`
	FullLog   string   `json:"full_log"`
	SrcIP     string   `json:"srcip"`
	DstUser   string   `json:"dstuser"`
	SrcUser   string   `json:"srcuser"`
	Data      jsonData `json:"data"`
}

type jsonData struct {
	SrcIP   string `json:"srcip"`
	DstUser string `json:"dstuser"`
	SrcUser string `json:"srcuser"`
}

// jsonText is a text or a number.
type jsonText string

func (t *jsonText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(t))
	}
	if !bytes.Equal(data, []byte("null")) {
		*t = jsonText(data)
	}
	return nil
}

// parseJSON reads one line of alerts.json. A field of an unexpected kind is skipped.
func (a *Alert) parseJSON(line []byte) bool {
	var j jsonAlert
	err := json.Unmarshal(line, &j)
	var kind *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &kind) {
		return false
	}
	second, ok := idSecond(string(j.ID))
	if !ok {
		return false
	}
	*a = Alert{Groups: a.Groups[:0], Log: a.Log[:0]}
	a.ID, a.Time = string(j.ID), time.Unix(second, 0)
	if t, err := time.Parse("2006-01-02T15:04:05.999-0700", j.Time); err == nil {
		a.Time = t
	}
	a.RuleID = cmp.Or(string(j.Rule.ID), string(j.Rule.SIDID))
	a.Level, a.Description = j.Rule.Level, cmp.Or(j.Rule.Description, j.Rule.Comment)
	a.Groups = append(a.Groups, j.Rule.Groups...)
	if len(a.Groups) == 0 {
		a.Groups = appendGroups(a.Groups, j.Rule.Group)
	}
	a.place(cmp.Or(j.Location, j.LogFile))
	if name := cmp.Or(j.Agent.Name, j.AgentName); name != "" {
		a.Host = name
		if j.Agent.ID != "000" { // Wazuh's manager is agent 000 of itself
			a.Agent = name
		}
	}
	a.Host = cmp.Or(a.Host, j.Hostname)
	a.SrcIP = presentText(cmp.Or(j.SrcIP, j.Data.SrcIP))
	a.User = presentText(cmp.Or(j.DstUser, j.Data.DstUser, j.SrcUser, j.Data.SrcUser))
	log := j.FullLog
	if len(log) > maxAlert {
		log, a.Truncated = log[:maxAlert], true
	}
	if log = strings.TrimRight(log, "\r\n"); log != "" {
		a.Log = append(a.Log, strings.Split(log, "\n")...)
	}
	return true
}
