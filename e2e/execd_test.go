package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// queue is where execd listens, below its home.
const queue = "queue/alerts/execq"

// order is one datagram to execd: an alert that asks for a response, or what a script wants
// of the stand-in itself. Both go one way, so they are done in the order in which they came.
type order struct {
	Response string        // an entry of ar.conf; for Wazuh 5 the executable
	Timeout  time.Duration // for Wazuh 5, which has no ar.conf
	Alert    alert
	Five     bool `json:",omitempty"` // Wazuh 5

	Call []string      // run this as a child
	Pass time.Duration // let that time pass
	Wait bool          // until all that was started has ended
}

// execd stands in for ossec-execd and wazuh-execd. What it does was seen on OSSEC 4.3 and
// Wazuh 4.14. Its clock stands still until a script lets time pass.
type execd struct {
	wazuh     bool
	entries   []entry         // of ar.conf, read when the first message arrives
	offenders []time.Duration // <repeated_offenders>
	seen      map[string]int  // how often each was asked for
	held      []*held
	now       time.Duration // since the start
	looked    time.Duration // when it last looked for what is over
	running   sync.WaitGroup
}

// held is a response that execd will undo.
type held struct {
	key     string
	timeout time.Duration
	since   time.Duration
	undo    func()
}

// lookEvery is how long execd sleeps when no message arrives; wazuh-execd sleeps a second.
const lookEvery = 90 * time.Second

// execdMain runs in the home's bin. It answers each order of a script with a line on
// standard output: "ok", or the exit status of a call.
func execdMain() {
	home := filepath.Dir(filepath.Dir(os.Args[0]))
	must(os.Chdir(home))
	must(os.MkdirAll(filepath.Dir(queue), 0o770))
	_ = os.Remove(queue) // of the one before
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: queue})
	must(err)
	d := &execd{
		wazuh:     strings.HasPrefix(filepath.Base(os.Args[0]), "wazuh"),
		offenders: readOffenders("etc/ossec.conf"),
		seen:      map[string]int{},
	}
	if !d.wazuh {
		must(os.Chdir("/"))
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		<-end
		must(socket.Close())
	}()
	fmt.Println("ok")
	message := make([]byte, 1<<16)
	for {
		n, err := socket.Read(message)
		if errors.Is(err, net.ErrClosed) {
			break
		}
		must(err)
		var o order
		must(json.Unmarshal(message[:n], &o))
		d.do(o)
	}
	d.lookAfter(func(*held) bool { return true })
	d.running.Wait()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (d *execd) do(o order) {
	switch {
	case o.Call != nil:
		cmd := child(d.home(), o.Call)
		must(cmd.Start())
		state, err := cmd.Process.Wait()
		must(err)
		fmt.Println(state.ExitCode())
	case o.Wait:
		d.running.Wait()
		fmt.Println("ok")
	case o.Pass != 0:
		if d.now += o.Pass; d.wazuh || d.now-d.looked >= lookEvery {
			d.look()
		}
		d.running.Wait()
		fmt.Println("ok")
	default:
		d.respond(o)
		d.look()
	}
}

// look undoes what is over.
func (d *execd) look() {
	d.looked = d.now
	d.lookAfter(func(h *held) bool { return h.since+h.timeout <= d.now })
}

func (d *execd) lookAfter(over func(*held) bool) {
	d.held = slices.DeleteFunc(d.held, func(h *held) bool {
		if over(h) {
			h.undo()
			return true
		}
		return false
	})
}

func (d *execd) home() string { return filepath.Dir(filepath.Dir(os.Args[0])) }

func (d *execd) respond(o order) {
	e := entry{Executable: o.Response, Timeout: o.Timeout}
	if !o.Five {
		if d.entries == nil {
			d.entries = readEntries(d.home())
		}
		i := slices.IndexFunc(d.entries, func(e entry) bool { return e.Name == o.Response })
		if i < 0 {
			return
		}
		e = d.entries[i]
	}
	if d.wazuh {
		d.wazuhResponse(e, o)
	} else {
		d.ossecResponse(e, o.Alert)
	}
}

// keep holds a response until its timeout, or holds it anew if it is held, which is reported.
// The first timeout counts, also where others ask for the same; but a repeated offender's is
// another each time.
func (d *execd) keep(key string, timeout time.Duration, undo func()) bool {
	d.seen[key]++
	repeated := d.seen[key] > 1 && len(d.offenders) > 0
	if repeated && timeout > 0 {
		timeout = d.offenders[min(d.seen[key]-2, len(d.offenders)-1)]
	}
	for _, h := range d.held {
		if h.key != key {
			continue
		}
		if h.since = d.now; repeated {
			h.timeout = timeout
		}
		return true
	}
	if timeout > 0 {
		d.held = append(d.held, &held{key, timeout, d.now, undo})
	}
	return false
}

// ossecResponse runs NAME add|delete USER IP ALERT RULE LOCATION FILENAME and does not wait.
func (d *execd) ossecResponse(e entry, a alert) {
	argv := func(action string) []string {
		argv := []string{filepath.Join(d.home(), bin, e.Executable), action, a.User, a.Address, a.ID, a.Rule}
		return append(append(argv, strings.Fields(a.Location)...), "-")
	}
	undo := func() { d.start(argv("delete")) }
	// Another user from there is the same to it; so are all users where the address was not asked for.
	if !d.keep(e.Executable+" "+a.Address, e.Timeout, undo) {
		d.start(argv("add"))
	}
}

// start does not wait.
func (d *execd) start(argv []string) {
	cmd := child(d.home(), argv)
	must(cmd.Start())
	d.running.Go(func() { _ = cmd.Wait() }) // execd asks for no exit status
}

// wazuhResponse writes the request to the program, answers its check_keys, and waits.
func (d *execd) wazuhResponse(e entry, o order) {
	program := bin + "/" + e.Executable
	request := func(command string) []byte { return wazuhRequest(o.Alert, program, command) }
	add, remove := "add", "delete"
	if o.Five {
		request = func(command string) []byte { return fiveRequest(o, command) }
		add, remove = "enable", "disable"
	}
	undo := func() { d.talk(program, request(remove), nil) }
	d.talk(program, request(add), func(keys []string) []byte {
		if d.keep(program+" "+strings.Join(keys, " "), e.Timeout, undo) {
			return request("abort")
		}
		return request("continue")
	})
}

// talk runs a program, writes a request to it, and answers what it asks.
func (d *execd) talk(program string, request []byte, answer func(keys []string) []byte) {
	cmd := child(d.home(), []string{program})
	in, err := cmd.StdinPipe()
	must(err)
	out, err := cmd.StdoutPipe()
	must(err)
	must(cmd.Start())
	_, _ = in.Write(append(request, '\n')) // a program need not read it
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var asked struct {
		Command    string
		Parameters struct{ Keys []string }
	}
	if err == nil && answer != nil && json.Unmarshal(line, &asked) == nil && asked.Command == "check_keys" {
		_, _ = in.Write(append(answer(asked.Parameters.Keys), '\n'))
	}
	_ = in.Close()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // execd asks for no exit status
}

// child is a command with the daemon's own working directory and environment. What it
// writes goes nowhere.
func child(home string, argv []string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	if !filepath.IsAbs(argv[0]) {
		cmd.Dir = home
	}
	return cmd
}

// bin is where the responses are, below a home.
const bin = "active-response/bin"

func wazuhRequest(a alert, program, command string) []byte {
	data := map[string]string{}
	if a.Address != "-" {
		data["srcip"] = a.Address
	}
	if a.User != "-" {
		data["dstuser"] = a.User
	}
	return encode(map[string]any{
		"version": 1,
		"origin":  map[string]string{"name": "node01", "module": "wazuh-execd"},
		"command": command,
		"parameters": map[string]any{
			"extra_args": []string{},
			"alert": map[string]any{
				"timestamp": "2026-11-23T03:27:57.771+0000",
				"rule":      map[string]any{"level": a.Level, "description": "Rule " + a.Rule, "id": a.Rule, "firedtimes": 1, "mail": false},
				"agent":     map[string]string{"id": "000", "name": "web"},
				"manager":   map[string]string{"name": "web"},
				"id":        a.ID,
				"full_log":  "Failed password from " + a.Address,
				"decoder":   map[string]string{"parent": "sshd", "name": "sshd"},
				"data":      data,
				"location":  a.Location,
			},
			"program": program,
		},
	})
}

// fiveRequest puts the command before the one that the manager's request has: the first counts.
func fiveRequest(o order, command string) []byte {
	request := encode(map[string]any{
		"wazuh": map[string]any{
			"active_response": map[string]any{
				"name": o.Response, "executable": o.Response, "location": "local", "agent_id": "001",
				"type": "stateful", "stateful_timeout": int(o.Timeout / time.Second),
			},
			"agent": map[string]string{"id": "001", "name": "web"},
			"rule":  map[string]string{"id": o.Alert.Rule},
		},
		"source": map[string]string{"ip": o.Alert.Address},
	})
	return fmt.Appendf(request[:len(request)-1], `,"command":%q,"command":"enable"}`, command)
}

func encode(v any) []byte {
	line, err := json.Marshal(v)
	must(err)
	return bytes.TrimSpace(line)
}
