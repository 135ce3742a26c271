package alerts

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sshAlert = `** Alert 1795422839.8: mail  - syslog,sshd,authentication_failures,
2026 Nov 23 08:33:59 (web) 192.0.2.5->/var/log/auth.log
Rule: 5712 (level 10) -> 'SSHD brute force trying to get access to the system.'
Src IP: 203.0.113.7
User: root
Nov 23 08:33:59 web sshd[9]: Failed password for root from 203.0.113.7
User: not a field but a log line

`

func scanAll(t *testing.T, text string) []Alert {
	t.Helper()
	s := NewScanner(strings.NewReader(text))
	var all []Alert
	for s.Scan() {
		a := *s.Alert()
		a.Groups = append([]string(nil), a.Groups...)
		a.Log = append([]string(nil), a.Log...)
		all = append(all, a)
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return all
}

func TestScanText(t *testing.T) {
	want := Alert{
		ID: "1795422839.8", Time: time.Unix(1795422839, 0),
		Groups: []string{"syslog", "sshd", "authentication_failures"},
		Host:   "web", Agent: "web", Location: "/var/log/auth.log",
		RuleID: "5712", Level: 10, Description: "SSHD brute force trying to get access to the system.",
		SrcIP: "203.0.113.7", User: "root",
		Log: []string{
			"Nov 23 08:33:59 web sshd[9]: Failed password for root from 203.0.113.7",
			"User: not a field but a log line",
		},
	}
	local := want
	local.ID, local.Agent, local.Host = "1795422840.9", "", "manager"
	local.Time, local.User, local.SrcIP = time.Unix(1795422840, 0), "", ""
	local.Log = []string{"one", "", "two"}
	text := "torn end of an alert\n\n" + sshAlert + "\n" +
		strings.NewReplacer(
			"1795422839.8: mail  -",
			"1795422840.9: -",
			"(web) 192.0.2.5",
			"manager",
			"Src IP: 203.0.113.7\nUser: root\n",
			"User: (none)\n",
		).Replace(sshAlert[:strings.Index(sshAlert, "Nov 23 08:33:59 web sshd")]) +
		"one\n\ntwo\n\n"
	got := scanAll(t, text)
	if diff := cmp.Diff([]Alert{want, local}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Wazuh writes the labels of the agent before the rule.
func TestScanLabels(t *testing.T) {
	want := scanAll(t, sshAlert)
	got := scanAll(
		t,
		strings.Replace(sshAlert, "Rule: ", "environment: production\nUser: of the label\nRule: ", 1),
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestScanJSON(t *testing.T) {
	text := `{"rule":{"level":7,"comment":"Login rejected","sidid":5701,"group":"syslog,sshd,"},"TimeStamp":1795422839000,"id":"1795422839.1","srcip":"203.0.113.7","dstuser":"root","location":"(web) 192.0.2.5->/var/log/auth.log","full_log":"a\nb","hostname":"web"}
no JSON
{"timestamp":"2026-11-23T08:34:00.123+0000","rule":{"level":10,"description":"Brute force","id":"5712","mail":true,"groups":["sshd"]},"agent":{"id":"001","name":"web"},"id":"1795422840.2","full_log":"c","data":{"srcip":"203.0.113.8","dstuser":"admin"},"location":"/var/log/auth.log","decoder":{"name":"sshd"}}
`
	got := scanAll(t, text)
	want := []Alert{{
		ID: "1795422839.1", Time: time.Unix(1795422839, 0), Groups: []string{"syslog", "sshd"}, Host: "web", Agent: "web",
		Location: "/var/log/auth.log", RuleID: "5701", Level: 7, Description: "Login rejected", SrcIP: "203.0.113.7", User: "root", Log: []string{"a", "b"},
	}, {
		ID: "1795422840.2", Time: time.Unix(1795422840, 123e6), Groups: []string{"sshd"}, Host: "web", Agent: "web",
		Location: "/var/log/auth.log", RuleID: "5712", Level: 10, Description: "Brute force", SrcIP: "203.0.113.8", User: "admin", Log: []string{"c"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestScanBoundsOneAlert(t *testing.T) {
	text := strings.Replace(sshAlert, "Failed password", strings.Repeat("x", 3*maxAlert), 1) + sshAlert
	got := scanAll(t, text)
	if len(got) != 2 || !got[0].Truncated || got[1].Truncated ||
		len(strings.Join(got[0].Log, "\n")) > maxAlert {
		t.Fatalf("%d alerts, truncated %v", len(got), got[0].Truncated)
	}
	if got[0].Partial || got[1].Partial {
		t.Error("a whole alert counts as partial")
	}
	if got := scanAll(t, sshAlert[:len(sshAlert)-20]); len(got) != 1 || !got[0].Partial {
		t.Errorf("a torn alert is not partial: %+v", got)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte(sshAlert + sshAlert))
	f.Add([]byte(`{"id":"1.2","rule":{"level":"x"}}` + "\n"))
	f.Add([]byte("** Alert 1.1:\n** Alert 99999999999999999999.1:\n** Alert 1.2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewScanner(bytes.NewReader(data))
		n := 0
		for s.Scan() {
			n++
			if a := s.Alert(); !validID([]byte(a.ID)) {
				t.Errorf("id %q", a.ID)
			}
		}
		if s.Err() != nil || n > len(data) {
			t.Errorf("%d alerts, %v", n, s.Err())
		}
	})
}

func BenchmarkScanText(b *testing.B) {
	var text bytes.Buffer
	for i := range 10000 {
		text.WriteString(strings.Replace(sshAlert, "1795422839.8", fmt.Sprintf("%d.%d", 1795422839+i, i), 1))
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		s := NewScanner(bytes.NewReader(text.Bytes()))
		for s.Scan() {
		}
	}
}
