package nullroute

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ossec-ar/ossec-ar/internal/config"
	"github.com/ossec-ar/ossec-ar/internal/enforcer"
	"github.com/ossec-ar/ossec-ar/internal/target"
)

// What needs a kernel is in e2e/kernel.

func TestNewRefuses(t *testing.T) {
	for want, options := range map[string]Options{
		`route type "drop" is none of blackhole, unreachable, prohibit`: {Type: "drop"},
		"route protocol 4 is not from 5 to 255":                         {Protocol: unix.RTPROT_STATIC},
		"route protocol -1 is not from 5 to 255":                        {Protocol: -1},
		"route protocol 256 is not from 5 to 255":                       {Protocol: 256},
	} {
		if _, err := New(options); err == nil || err.Error() != want {
			t.Errorf("New(%+v): %v, want %s", options, err, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for want, options := range map[string]Options{
		"add the route blackhole 2001:db8::7/128 proto 214 to the main table": {},
		"add the route prohibit 2001:db8::7/128 proto 99 to the main table":   {Type: Prohibit, Protocol: 99},
	} {
		e, err := New(options)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Describe(target.MustParse("2001:db8::7")); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestContextEndsFirst(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	addr := target.MustParse("203.0.113.7")
	_, blockErr := e.Block(ctx, addr, enforcer.Unknown)
	_, listErr := e.List(ctx)
	for name, err := range map[string]error{
		"Block": blockErr, "Unblock": e.Unblock(ctx, addr), "List": listErr, "Flush": e.Flush(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
}

func TestErrorsForPeople(t *testing.T) {
	v4, v6 := target.MustParse("203.0.113.7"), target.MustParse("2001:db8::7")
	for _, test := range []struct {
		addr target.Target
		err  error
		want string
	}{
		{v6, unix.EOPNOTSUPP, "IPv6 is disabled in this kernel"}, // ipv6.disable=1
		{v6, unix.EAFNOSUPPORT, "IPv6 is disabled in this kernel"},
		{v4, unix.EAGAIN, "the kernel did not answer in time"}, // what the library makes of a timeout
		{v4, unix.EPERM, "needs root or CAP_NET_ADMIN"},
		{v4, unix.ENOBUFS, "no buffer space available"},
	} {
		if got := explain(test.addr, test.err); !strings.Contains(got.Error(), test.want) {
			t.Errorf("explain(%s, %v) = %v, want %q", test.addr, test.err, got, test.want)
		}
	}
}

func TestKind(t *testing.T) {
	e, err := Kind.New(config.Default(), "")
	if err != nil || e.(*Enforcer).kind.name != Blackhole || Kind.InFile {
		t.Errorf("New: %+v, %v", e, err)
	}
	for err, want := range map[error]string{errLinkLocal: "firewall-drop", explain(target.Target{}, unix.EPERM): "root", unix.ENOBUFS: ""} {
		if got := Kind.Hint(err); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("the hint on %v is %q, want %q in it", err, got, want)
		}
	}
}
