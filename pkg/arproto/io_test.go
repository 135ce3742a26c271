package arproto_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

const question = `{"version":1,"origin":{"name":"firewall-drop","module":"active-response"},"command":"check_keys","parameters":{"keys":["192.0.2.7"]}}` + "\n"

func TestCheckKeys(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		goOn         bool
		err          string // "" for none
	}{
		{"continue", `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"continue","parameters":{}}` + "\n", true, ""},
		{"abort", `{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"abort","parameters":{}}` + "\n", false, ""},
		{"abort without a line end", `{"command":"abort"}`, false, ""},
		{"only the first line counts", "{\"command\":\"continue\"}\n{\"command\":\"abort\"}\n", true, ""},
		{"nothing", "", true, "no answer to check_keys: EOF"},
		{"an empty line", "\n", true, "not JSON"},
		{"junk", "abort\n", true, "not JSON"},
		{"cut off", `{"command":"ab`, true, "not JSON"},
		{"a list", "[\"abort\"]\n", true, "not JSON"},
		{"another command", "{\"command\":\"a b\\nort\"}\n", true, `command "a\x20b\x0aort" is neither continue nor abort`},
		{"no command", "{}\n", true, `command "" is neither continue nor abort`},
		{"endless", strings.Repeat("x", 3<<20), true, "longer than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked bytes.Buffer
			conn := arproto.NewConn(strings.NewReader(test.answer), &asked)
			goOn, err := conn.CheckKeys("firewall-drop", []string{"192.0.2.7"}, time.Minute)
			if goOn != test.goOn {
				t.Errorf("go on: %v, want %v", goOn, test.goOn)
			}
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (!errors.Is(err, arproto.ErrNoReply) || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error is %v, want ErrNoReply with %q", err, test.err)
			}
			if asked.String() != question {
				t.Errorf("asked\n%s\nwant\n%s", asked.String(), question)
			}
		})
	}
}

// TestCheckKeysStdoutClosed: a daemon that hears nothing must not keep the block away.
func TestCheckKeysStdoutClosed(t *testing.T) {
	out, in := io.Pipe()
	_ = out.Close()
	goOn, err := arproto.NewConn(strings.NewReader(""), in).CheckKeys("x", []string{"192.0.2.7"}, time.Minute)
	if !goOn || !errors.Is(err, arproto.ErrNoReply) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, %v, want to go on, and ErrNoReply for a closed pipe", goOn, err)
	}
}

// TestSilence: a daemon that opens the pipe and never writes costs the deadline, no more.
func TestSilence(t *testing.T) {
	const wait = 10 * time.Second
	for _, test := range []struct {
		name string
		call func(*testing.T, *arproto.Conn)
	}{
		{"ReadRequest", func(t *testing.T, conn *arproto.Conn) {
			r, err := conn.ReadRequest(wait, nil)
			if err == nil || !strings.Contains(err.Error(), "no whole line within 10s") || r == nil || !r.Dialect.JSON() {
				t.Errorf("got %+v, %v", r, err)
			}
		}},
		{"CheckKeys", func(t *testing.T, conn *arproto.Conn) {
			goOn, err := conn.CheckKeys("x", []string{"192.0.2.7"}, wait)
			if !goOn || !errors.Is(err, arproto.ErrNoReply) || !strings.Contains(err.Error(), "no whole line within 10s") {
				t.Errorf("got %v, %v", goOn, err)
			}
		}},
	} {
		for _, begun := range []string{"", `{"command":`} {
			t.Run(test.name+begun, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // with a clock of its own
					out, in := io.Pipe()
					defer in.Close() // ends the read that goes on
					if begun != "" {
						go func() { _, _ = io.WriteString(in, begun) }()
					}
					start := time.Now()
					test.call(t, arproto.NewConn(out, io.Discard))
					if got := time.Since(start); got != wait {
						t.Errorf("waited %s, want %s", got, wait)
					}
				})
			})
		}
	}
}

func TestReadRequestInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, in := io.Pipe()
		go func() {
			for _, piece := range []string{wazuh4[:1], wazuh4[1:40], wazuh4[40:], "\n", `{"command":"ab`, "ort\"}\n"} {
				synctest.Wait() // until the reader wants more
				if _, err := io.WriteString(in, piece); err != nil {
					t.Error(err)
				}
			}
		}()
		var asked bytes.Buffer
		conn := arproto.NewConn(out, &asked)
		r, err := conn.ReadRequest(10*time.Second, nil)
		if err != nil || r.Addr != netip.MustParseAddr("192.0.2.7") {
			t.Fatalf("got %+v, %v", r, err)
		}
		if goOn, err := conn.CheckKeys("firewall-drop", []string{r.Key()}, 10*time.Second); goOn || err != nil {
			t.Errorf("got %v, %v, want to stop", goOn, err)
		}
		if asked.String() != question {
			t.Errorf("asked %s", asked.String())
		}
	})
}

func TestReadRequest(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"with a line end", wazuh4 + "\n", ""},
		{"without one", wazuh4, ""},
		{"the answer is there already", wazuh4 + "\n{\"command\":\"continue\"}\n", ""},
		{"exactly 1 MiB", wazuh4 + strings.Repeat(" ", arproto.MaxLine-len(wazuh4)-1) + "\n", ""},
		{"one byte more", wazuh4 + strings.Repeat(" ", arproto.MaxLine-len(wazuh4)) + "\n", "longer than 1048576 bytes"},
		{"over two lines", strings.Replace(wazuh4, ",", ",\n", 1), "not JSON"},
		{"an empty line", "\n", "not JSON"},
		{"NULs", strings.Repeat("\x00", 100000), "not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := arproto.NewConn(strings.NewReader(test.in), io.Discard).ReadRequest(time.Minute, nil)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error is %v, want %q in it", err, test.want)
				}
				checkRequest(t, r, err)
				return
			}
			if err != nil || r.RuleID != "5763" {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
	r, err := arproto.NewConn(strings.NewReader(""), io.Discard).ReadRequest(time.Minute, nil)
	if !errors.Is(err, arproto.ErrNoRequest) || r == nil {
		t.Errorf("nothing: %v, %v, want ErrNoRequest", r, err)
	}
	broken := errors.New("broken")
	_, err = arproto.NewConn(io.MultiReader(strings.NewReader("{"), errReader{broken}), io.Discard).ReadRequest(time.Minute, nil)
	if !errors.Is(err, broken) {
		t.Errorf("a read that fails: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// endless is a sender that never stops and never ends its line.
type endless struct{ sent int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.sent += len(p)
	return len(p), nil
}

func TestReadRequestIsBounded(t *testing.T) {
	var sender endless
	_, err := arproto.NewConn(&sender, io.Discard).ReadRequest(time.Minute, nil)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error is %v", err)
	}
	if most := arproto.MaxLine + 64<<10; sender.sent > most {
		t.Errorf("%d bytes were read, want at most %d", sender.sent, most)
	}
}
