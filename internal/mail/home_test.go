package mail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/ossec"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// load reads settings from an ossec.conf and an active-response.toml in a home of their own.
func load(t testing.TB, conf, settings string) (*Settings, error) {
	t.Helper()
	home := ossec.Home(t.TempDir())
	write(t, home.Conf(), conf)
	write(t, string(home)+"/etc/active-response.toml", settings)
	c, err := config.Load(home)
	if err != nil {
		t.Fatal(err)
	}
	return Load(home, c.Mail)
}

func mustLoad(t testing.TB, conf, settings string) *Settings {
	t.Helper()
	s, err := load(t, conf, settings)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sendAll sends a mail to all recipients. It returns the dialogue, and all errors in one.
func (s *Settings) sendAll(t testing.TB) (dialogue string, err error) {
	t.Helper()
	raw, err := s.Format(Message{Subject: "x", Text: "x\n"}, s.To, time.Now(), "1")
	if err != nil {
		t.Fatal(err)
	}
	var trace strings.Builder
	var result map[string]error
	if s.Program() {
		result, err = s.SendProgram(t.Context(), s.To, raw)
	} else {
		result, err = s.Send(t.Context(), s.To, raw, func(line string) { trace.WriteString(line + "\n") })
	}
	for _, to := range s.To {
		err = errors.Join(err, result[to])
	}
	return trace.String(), err
}

func newMailConfig() config.Mail { return config.Default().Mail }
