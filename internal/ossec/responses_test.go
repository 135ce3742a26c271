package ossec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseResponseList(t *testing.T) {
	got, err := parseResponseList(strings.NewReader("firewall-drop600 - firewall-drop.sh - 600\n\nrestart-ossec0 - restart-ossec.sh - 0\nbroken line\nx - y - 10m\n"), "ar.conf")
	want := []ListedResponse{
		{Name: "firewall-drop600", Executable: "firewall-drop.sh", Timeout: 10 * time.Minute, Line: 1},
		{Name: "restart-ossec0", Executable: "restart-ossec.sh", Line: 3},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("list (-want +got):\n%s", d)
	}
	if err == nil || !strings.Contains(err.Error(), `ar.conf:5: no timeout in seconds`) {
		t.Errorf("err = %v, want it to name the last broken line", err)
	}
}

func TestReadTimeouts(t *testing.T) {
	write := func(t *testing.T, arConf, ossecConf string) Home {
		home := Home(t.TempDir())
		err := errors.Join(
			os.MkdirAll(filepath.Dir(home.ResponseList()), 0o755),
			os.WriteFile(home.ResponseList(), []byte(arConf), 0o644),
			os.WriteFile(home.Conf(), []byte(ossecConf), 0o644),
		)
		if err != nil {
			t.Fatal(err)
		}
		return home
	}
	const list = "a - a.sh - 600\na2 - a.sh - 1800\nb - b.sh - 600\nb0 - b.sh - 0\n"
	for _, tt := range []struct {
		name, repeats, program string
		want                   time.Duration
		ends                   bool
	}{
		{"the longest counts", "", "a.sh", 30 * time.Minute, true},
		{"one that may last for ever", "", "b.sh", 10 * time.Minute, false},
		{"one that is not listed", "", "c.sh", 0, false},
		{"repeated offenders", "30,60,120", "a.sh", 2 * time.Hour, true},
		{"only five are read", "1,2,3,4,5,600", "a.sh", 30 * time.Minute, true},
		{"a 0 at the head turns it off", "0,60,120", "a.sh", 30 * time.Minute, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := "<ossec_config><active-response><repeated_offenders>" + tt.repeats + "</repeated_offenders></active-response></ossec_config>"
			timeouts, err := ReadTimeouts(write(t, list, conf))
			if err != nil {
				t.Fatal(err)
			}
			if got, ends := timeouts.Longest(tt.program); got != tt.want || ends != tt.ends {
				t.Errorf("Longest = %s, %v; want %s, %v", got, ends, tt.want, tt.ends)
			}
		})
	}
}

func FuzzParseResponseList(f *testing.F) {
	f.Add("firewall-drop600 - firewall-drop.sh - 600\n")
	f.Add("x - y - -1\n - - - \n")
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := parseResponseList(strings.NewReader(text), "ar.conf")
		for _, r := range list {
			if r.Timeout < 0 || strings.TrimSpace(r.Executable) != r.Executable || r.Line < 1 {
				t.Errorf("%q gives %+v", text, r)
			}
		}
	})
}
