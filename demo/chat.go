package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// chatService starts a server that takes messages as ntfy does and hands them to the stage, and names it
// in the settings.
func (s *stage) chatService() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := http.Server{ReadTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			fmt.Fprintln(w, "{}")
			s.messages <- "  " + r.Header.Get("Title") + "\n  " +
				strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  ")
		})}
	go func() { _ = server.Serve(listener) }() // until the demo ends
	etc := filepath.Join(s.home, "etc")
	url := fmt.Sprintf("ntfy://%s/attacks?scheme=http\n", listener.Addr())
	return errors.Join(os.WriteFile(filepath.Join(etc, "ntfy.url"), []byte(url), 0o600),
		os.WriteFile(filepath.Join(etc, "active-response.toml"),
			[]byte("[[chat]]\nurl_file = \""+filepath.Join(etc, "ntfy.url")+"\"\n"), 0o644))
}
