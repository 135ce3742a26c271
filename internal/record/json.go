// This file writes what a response did as one JSON document a line, in the Elastic
// Common Schema, for Filebeat or the Wazuh indexer. The fields are described in
// docs/json-log.md. It only formats; texts from outside are JSON strings and can shape
// nothing else.
package record

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/printable"
	"github.com/ossec-ar/ossec-ar/pkg/arlog"
	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// Version is the version of the Elastic Common Schema that the documents follow.
const Version = "8.17.0"

// maxText bounds a text from outside, in bytes.
const maxText = 1024

type document struct {
	Timestamp string   `json:"@timestamp"`
	ECS       version  `json:"ecs"`
	Event     event    `json:"event"`
	Message   string   `json:"message"`
	Host      name     `json:"host"`
	Process   process  `json:"process"`
	Rule      *rule    `json:"rule,omitempty"`
	Source    *source  `json:"source,omitempty"`
	Related   *related `json:"related,omitempty"`
	User      *name    `json:"user,omitempty"`
	OSSEC     details  `json:"ossec"`
}

type version struct {
	Version string `json:"version"`
}

type name struct {
	Name string `json:"name"`
}

type event struct {
	Kind     string   `json:"kind"`
	Category []string `json:"category"`
	Type     []string `json:"type"`
	Action   string   `json:"action"`
	Outcome  string   `json:"outcome"`
	Module   string   `json:"module"`
	Dataset  string   `json:"dataset"`
}

type process struct {
	Name       string `json:"name"`
	Executable string `json:"executable"`
}

type rule struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

type source struct {
	IP string `json:"ip"`
}

type related struct {
	IP []string `json:"ip"`
}

type details struct {
	Status  string `json:"status"`
	AlertID string `json:"alert_id,omitempty"`
	Level   int    `json:"level,omitempty"`
	Agent   string `json:"agent,omitempty"`
	Dialect string `json:"dialect"`
}

// eventOf says what a status is in the schema's words.
func eventOf(status arlog.Status) event {
	e := event{Kind: "event", Category: []string{"intrusion_detection", "network"}, Module: "ossec",
		Dataset: "ossec.active_response"}
	switch status {
	case arlog.StatusAdd:
		e.Type, e.Action, e.Outcome = []string{"denied"}, "block", "success"
	case arlog.StatusDelete:
		e.Type, e.Action, e.Outcome = []string{"allowed"}, "unblock", "success"
	case arlog.StatusSkip:
		e.Type, e.Action, e.Outcome = []string{"info"}, "skip", "unknown"
	case arlog.StatusWarn:
		e.Type, e.Action, e.Outcome = []string{"info"}, "warn", "success"
	default:
		e.Type, e.Action, e.Outcome = []string{"error"}, "error", "failure"
	}
	return e
}

// Line returns the document of a log entry and the request that it is about, with its
// newline.
func Line(e arlog.Entry, about arproto.Request, host string) ([]byte, error) {
	d := document{
		Timestamp: e.Time.UTC().Format(time.RFC3339Nano),
		ECS:       version{Version},
		Event:     eventOf(e.Status),
		Message:   clean(e.Message),
		Host:      name{host},
		Process:   process{filepath.Base(e.Program), e.Program},
		OSSEC: details{
			Status: string(e.Status), AlertID: clean(e.AlertID), Level: about.Level,
			Agent: clean(about.AgentName), Dialect: about.Dialect.String(),
		},
	}
	if e.RuleID != "" || about.Description != "" {
		d.Rule = &rule{clean(e.RuleID), clean(about.Description)}
	}
	if e.Addr.IsValid() {
		d.Source, d.Related = &source{e.Addr.String()}, &related{[]string{e.Addr.String()}}
	}
	if about.User != "" {
		d.User = &name{clean(about.User)}
	}
	line, err := json.Marshal(d)
	return append(printable.JSON(line), '\n'), err
}

// clean bounds a text and replaces what is no UTF-8.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
