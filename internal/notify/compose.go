package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ossec-ar/ossec-ar/internal/chat"
	"github.com/ossec-ar/ossec-ar/internal/confine"
	"github.com/ossec-ar/ossec-ar/internal/mail"
	"github.com/ossec-ar/ossec-ar/internal/outbox"
	"github.com/ossec-ar/ossec-ar/internal/printable"
)

// job is what the process without rights has to do about one message.
type job struct {
	Task      string // one of those below
	Program   string // email-notification or chat-notification
	Chat      *chat.Service
	Settings  *mail.Settings
	Templates map[string]string // the administrator's, by part
	To        []string
	Entries   []entry
	Counted   outbox.Counted
	Now       time.Time
	Sample    bool
}

// The tasks.
const (
	taskSend   = "send"   // write the mail and send it
	taskFormat = "format" // write the mail as it goes over the wire
	taskWrite  = "write"  // write the parts of a message
	taskCheck  = "check"  // try the templates and the server, or the service
	taskChat   = "chat"   // write the message and hand it to the service
)

// answer is what came of a job.
type answer struct {
	Used    int // of the entries so many are in the message, the first ones
	Message mail.Message
	Raw     []byte
	Results map[string]*mail.Failure // by recipient; nil: accepted
	Failed  *mail.Failure            // of the whole
	Chat    *chat.Failure            // nil: the service took it, or can be reached
	Service string                   // what the service is
	Faults  []string                 // beside it
	Trace   []string
}

// Serve is the process without rights. It returns the exit status.
func Serve() int {
	return confine.Serve(func(ctx context.Context, j job) answer { return j.do(ctx, net.DefaultResolver) })
}

// resolver is what is needed of *net.Resolver to find an address's name.
type resolver interface {
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

func (j *job) do(ctx context.Context, names resolver) (a answer) {
	fault := func(err error) {
		if err != nil {
			a.Faults = append(a.Faults, strings.Split(err.Error(), "\n")...)
		}
	}
	if j.Task == taskCheck && j.Chat != nil {
		ctx, cancel := context.WithTimeout(ctx, reachTime)
		defer cancel()
		a.Service, a.Chat = j.Chat.Reach(ctx)
		return a
	}
	if j.Task == taskCheck {
		fault(j.checkTemplates())
		if !j.Settings.Program() && len(a.Faults) == 0 {
			a.Failed = mail.Pass(j.Settings.Reach(ctx))
		}
		return a
	}
	if j.Settings.ReverseName {
		j.lookUp(ctx, names)
	}
	m, err := j.write()
	a.Used = len(j.Entries)
	if errors.Is(err, errNoPart) {
		a.Failed = &mail.Failure{Text: err.Error(), Final: true}
		return a
	}
	fault(err)
	if j.Task == taskChat {
		a.Chat = j.Chat.Send(ctx, j.chatMessage(m))
		return a
	}
	if a.Message = m; j.Task == taskWrite {
		return a
	}
	raw, err := j.Settings.Format(m, j.To, j.Now, j.messageID())
	switch {
	case err != nil:
		a.Failed = &mail.Failure{Text: err.Error(), Final: true}
	case j.Task == taskFormat:
		a.Raw = raw
	default:
		var results map[string]error
		results, err = j.Settings.Send(ctx, j.To, raw, func(line string) { a.Trace = append(a.Trace, line) })
		a.Failed, a.Results = mail.Pass(err), map[string]*mail.Failure{}
		for to, err := range results {
			a.Results[to] = mail.Pass(err)
		}
	}
	return a
}

// write makes the message of the first of the entries, as many as it has room for. The error is also
// that of a broken template of the administrator's, and then the message is good all the same; else it
// is errNoPart.
func (j *job) write() (m mail.Message, err error) {
	if e := j.Entries[0]; e.Written() {
		return mail.Message{Subject: e.Subject, Text: e.Text, HTML: e.HTML}, nil
	}
	for {
		v := makeView(j.Settings, j.Entries, j.Now, time.Local)
		v.Sample, v.Program = j.Sample, j.Program
		v.count(j.Counted)
		var faults [3]error
		m.Subject, faults[0] = j.render(partSubject, v)
		m.Subject = strings.Join(strings.Fields(m.Subject), " ")
		m.Text, faults[1] = j.render(partText, v)
		if j.Task != taskChat { // no service shows it
			m.HTML, faults[2] = j.render(partHTML, v)
		}
		err = errors.Join(faults[:]...)
		if !errors.Is(err, errTooLong) || !errors.Is(err, errNoPart) || len(j.Entries) < 2 {
			return m, err
		}
		j.Entries = j.Entries[:len(j.Entries)/2] // the rest goes in the next
	}
}

// messageID is the same whenever the same notices are sent to the same people, so that
// a mail that goes twice because the process was killed can be recognised.
func (j *job) messageID() string {
	sum := sha256.New()
	for _, e := range j.Entries {
		fmt.Fprintf(sum, "%s %d %d\n", e.Item.ID, e.Item.First.UnixNano(), e.Item.Count)
	}
	fmt.Fprintln(sum, j.To)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

const (
	// nameTime bounds the look-up of the names of the addresses in one mail.
	nameTime = 500 * time.Millisecond
	// fewNames is up to how many addresses in one mail their names are looked up.
	fewNames = 16
)

// lookUp finds the names of the addresses in one mail.
func (j *job) lookUp(ctx context.Context, names resolver) {
	if len(j.Entries) > fewNames {
		return
	}
	var asked sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	for i := range j.Entries {
		e := &j.Entries[i]
		if !e.Addr.IsValid() || e.Name != "" {
			continue
		}
		asked.Go(func() {
			if found, err := names.LookupAddr(ctx, e.Addr.String()); err == nil && len(found) > 0 {
				e.Name = printable.Line(strings.TrimSuffix(found[0], "."))
			}
		})
	}
	asked.Wait()
}
