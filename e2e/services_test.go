package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ossec-ar/ossec-ar/internal/chat/chattest"
)

// chats are the chat services of one script.
type chats struct{ server *chattest.Server }

type chatsKey struct{}

// services starts what stands for all chat services, in the script's network: $PROXY leads there, and
// the file ca.pem has who signed its certificate. Each time it writes the requests that came since into
// the file requests, a line each. With a status that is what is answered from now on, with "ok" what
// the services answer to what they take, with "hang" nothing.
func services(ts *testscript.TestScript, neg bool, args []string) {
	c := ts.Value(chatsKey{}).(*chats)
	if c.server == nil {
		var err error
		c.server, err = chattest.New()
		ts.Check(err)
		ts.Defer(c.server.Close)
		ts.Setenv("PROXY", c.server.Proxy)
		ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), c.server.CA, 0o600))
	}
	requests := ""
	for _, r := range c.server.All() {
		requests += fmt.Sprintf("%s %s%s %q %q\n", r.Method, r.Host, r.Path, r.Header.Get("Title"), r.Body)
	}
	ts.Check(os.WriteFile(ts.MkAbs("requests"), []byte(requests), 0o600))
	if len(args) == 0 {
		return
	}
	switch args[0] {
	case "ok":
		c.server.Answer(chattest.Accept)
		return
	case "hang":
		c.server.Answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		return
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	c.server.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}
