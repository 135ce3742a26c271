package hostsdeny

import (
	"bytes"

	"github.com/ossec-ar/ossec-ar/internal/linefile"
	"github.com/ossec-ar/ossec-ar/internal/target"
	"net/netip"
	"testing"
)

// plain stands in for files of the administrator in which v4 and v6 do not stand.
const plain = "# /etc/hosts.deny\nALL: PARANOID\nsshd: 10.0.0. EXCEPT 10.0.0.5\n"

var (
	v4 = target.MustParse("1.2.3.4")
	v6 = target.MustParse("2001:db8::1")
)

// TestMappedAddressIsNoEntry: libwrap does not read [::ffff:1.2.3.4] as 1.2.3.4, nor as
// anything that we would write.
func TestMappedAddressIsNoEntry(t *testing.T) {
	for _, line := range []string{"ALL:[::ffff:1.2.3.4]", "ALL:[::ffff:102:304]"} {
		if addr, ok := newForm("", false).parse([]byte(line)); ok {
			t.Errorf("%s is taken for an entry of ours on %s", line, addr)
		}
	}
}

func TestRemoveTakesOutExactlyTheEntry(t *testing.T) {
	tests := []struct {
		name    string
		daemons string
		allow   bool
		addr    target.Target
		content string
		want    string // "" means as content
	}{
		{name: "stock", addr: v4, content: plain + "ALL:1.2.3.4\n", want: plain},
		{name: "blank after colon", addr: v4, content: "ALL: 1.2.3.4\n" + plain, want: plain},
		{name: "blanks everywhere", addr: v4, content: " all\t:  1.2.3.4 \t\n" + plain, want: plain},
		{name: "twice", addr: v4, content: "ALL:1.2.3.4\n" + plain + "ALL : 1.2.3.4\n", want: plain},
		{name: "no line end", addr: v4, content: plain + "ALL:1.2.3.4", want: plain},
		{name: "CRLF", addr: v4, content: "# x\r\nALL:1.2.3.4\r\nALL:1.2.3.5\r\n",
			want: "# x\r\nALL:1.2.3.5\r\n"},
		{name: "IPv6", addr: v6, content: plain + "ALL:[2001:db8::1]\n", want: plain},
		{name: "IPv6 in another spelling", addr: v6, content: "ALL : [2001:DB8:0:0::0001]\n" + plain,
			want: plain},
		{name: "IPv6 with dotted end", addr: v6, content: "ALL:[2001:db8::0.0.0.1]\n" + plain, want: plain},
		{name: "IPv6 that ends in zeros", addr: target.MustParse("2001:db8::"),
			content: "ALL:[2001:db8::]\nALL:[2001:db8:0:0:0:0:0:0]\n" + plain, want: plain},
		{name: "shortest IPv6", addr: target.MustParse("::1"), content: "ALL:[::1]\n", want: "\x00"},
		{name: "other daemons", daemons: "sshd, vsftpd", addr: v4, content: "SSHD vsftpd : 1.2.3.4\n" + plain,
			want: plain},

		{name: "neighbours", addr: v4,
			content: "ALL:1.2.3.40\nALL:11.2.3.4\nALL:1x2y3z4\nALL:1.2.3.\nALL:.1.2.3.4\n"},
		{name: "neighbours in IPv6", addr: v6,
			content: "ALL:[2001:db8::11]\nALL:[2001:db8::1]/64\nALL:[2001:db9::1]\nALL:[fe80::1%eth0]\n"},
		{name: "what libwrap does not read as the address", addr: v4,
			content: "ALL:[1.2.3.4]\nALL:[::ffff:1.2.3.4]\nALL:001.2.3.4\nALL:1.2.3.4/32\n"},
		{name: "IPv6 without brackets", addr: v6, content: "ALL:2001:db8::1\n"},
		{name: "options", addr: v4,
			content: "ALL:1.2.3.4:deny\nALL: 1.2.3.4 : spawn echo %h\nALL:1.2.3.4:\n"},
		{name: "comments", addr: v4,
			content: "#ALL:1.2.3.4\n# ALL:1.2.3.4\n  # ALL:1.2.3.4\nALL:1.2.3.4 # why\n"},
		{name: "lists", addr: v4,
			content: "ALL:1.2.3.4,1.2.3.5\nALL:1.2.3.5 1.2.3.4\nALL:1.2.3.4,\nALL:ALL EXCEPT 1.2.3.4\n"},
		{name: "daemons of others", addr: v4,
			content: "sshd:1.2.3.4\nALL EXCEPT sshd:1.2.3.4\nALL,sshd:1.2.3.4\n"},
		{name: "ALL where sshd is configured", daemons: "sshd", addr: v4,
			content: "ALL:1.2.3.4\nsshd:1.2.3.4\n" + plain, want: plain},
		{name: "sshd where ALL is configured", addr: v4, content: "sshd:1.2.3.4\n"},
		{name: "continued", addr: v4, content: "# a comment \\\nALL:1.2.3.4\n"},
		{name: "continues", addr: v4, content: "ALL:1.2.3.4\\\n,1.2.3.5\n"},
		{name: "after a NUL", addr: v4, content: "sshd:\x00\nALL:1.2.3.4\n"},
		{name: "backslash before CRLF is no continuation", addr: v4, content: "# x\\\r\nALL:1.2.3.4\r\n",
			want: "# x\\\r\n"},
		{name: "empty", addr: v4, content: ""},

		{name: "allow form", allow: true, addr: v4, content: "ALL : 1.2.3.4 : deny\n" + plain, want: plain},
		{name: "allow form, tight", allow: true, addr: v6, content: "ALL:[2001:db8::1]:DENY\r\n" + plain,
			want: plain},
		{name: "allow form, others", allow: true, addr: v4,
			content: "ALL:1.2.3.4\nALL:1.2.3.4:allow\nALL:1.2.3.4:severity notice:deny\nALL:1.2.3.4:deny:x\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			switch test.want {
			case "":
				test.want = test.content
			case "\x00":
				test.want = ""
			}
			content := []byte(test.content)
			f := newForm(test.daemons, test.allow)
			got := linefile.Cut(f.matching(content, []target.Target{test.addr})).Apply(content)
			if string(got) != test.want {
				t.Errorf("removing %s from %q:\n got %q\nwant %q", test.addr, test.content, got, test.want)
			}
		})
	}
}

func TestAdd(t *testing.T) {
	tests := []struct {
		name    string
		daemons string
		allow   bool
		addr    target.Target
		content string
		want    string
	}{
		{name: "empty", addr: v4, content: "", want: "ALL:1.2.3.4\n"},
		{name: "IPv4", addr: v4, content: plain, want: plain + "ALL:1.2.3.4\n"},
		{name: "IPv6", addr: v6, content: plain, want: plain + "ALL:[2001:db8::1]\n"},
		{name: "daemons", daemons: "sshd, vsftpd", addr: v4, content: plain,
			want: plain + "sshd,vsftpd:1.2.3.4\n"},
		{name: "CRLF", addr: v4, content: "# x\r\n", want: "# x\r\nALL:1.2.3.4\r\n"},
		{name: "neighbour there", addr: v4, content: "ALL:11.2.3.4\n", want: "ALL:11.2.3.4\nALL:1.2.3.4\n"},
		{name: "already there", addr: v4, content: "all : 1.2.3.4\n" + plain,
			want: "all : 1.2.3.4\n" + plain},
		{name: "already there for ALL", daemons: "sshd", addr: v4, content: "ALL:1.2.3.4\n",
			want: "ALL:1.2.3.4\n"},
		{name: "there with options", addr: v4, content: "ALL:1.2.3.4: spawn x\n",
			want: "ALL:1.2.3.4: spawn x\nALL:1.2.3.4\n"},
		{name: "no line end", addr: v4, content: "sshd: ALL", want: "sshd: ALL\nALL:1.2.3.4\n"},
		{name: "no line end, CRLF", addr: v4, content: "# x\r\nsshd: ALL",
			want: "# x\r\nsshd: ALL\r\nALL:1.2.3.4\r\n"},
		{name: "already there without line end", addr: v4, content: "ALL:1.2.3.4", want: "ALL:1.2.3.4\n"},
		{name: "last line continues", addr: v4, content: "# x\\\n", want: "# x\\\n\nALL:1.2.3.4\n"},
		{name: "last line continues, no line end", addr: v4, content: "# x\\",
			want: "# x\\\n\nALL:1.2.3.4\n"},
		{name: "last line has a NUL", addr: v4, content: "# x\x00\n", want: "# x\x00\n\nALL:1.2.3.4\n"},
		{name: "there but continued", addr: v4, content: "# x\\\nALL:1.2.3.4\n",
			want: "# x\\\nALL:1.2.3.4\nALL:1.2.3.4\n"},

		{name: "allow form", allow: true, addr: v4, content: "# FreeBSD\n\nALL : ALL : allow\n",
			want: "# FreeBSD\n\nALL : 1.2.3.4 : deny\nALL : ALL : allow\n"},
		{name: "allow form, only comments", allow: true, addr: v6, content: "# FreeBSD",
			want: "# FreeBSD\nALL : [2001:db8::1] : deny\n"},
		{name: "allow form, comment goes on", allow: true, addr: v4, content: "# a \\\nsshd: ALL\nftpd: ALL",
			want: "# a \\\nsshd: ALL\nALL : 1.2.3.4 : deny\nftpd: ALL\n"},
		{name: "allow form, there among ours", allow: true, addr: v4,
			content: "ALL:1.2.3.5:deny\nALL:1.2.3.4:deny\nALL:ALL:allow\n",
			want:    "ALL:1.2.3.5:deny\nALL:1.2.3.4:deny\nALL:ALL:allow\n"},
		{name: "allow form, there too late", allow: true, addr: v4,
			content: "ALL:ALL:allow\nALL:1.2.3.4:deny\n",
			want:    "ALL : 1.2.3.4 : deny\nALL:ALL:allow\nALL:1.2.3.4:deny\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, content := newForm(test.daemons, test.allow), []byte(test.content)
			got := f.planAdd(content, []target.Target{test.addr}).Apply(content)
			if string(got) != test.want {
				t.Errorf("adding %s to %q:\n got %q\nwant %q", test.addr, test.content, got, test.want)
			}
			if p := f.planAdd(got, []target.Target{test.addr}); !p.Nothing() {
				t.Errorf("adding %s once more is not nothing: %q", test.addr, p.Apply(got))
			}
		})
	}
}

// FuzzAddDelete: for any file in which the address does not stand, add then
// delete gives the bytes back. The one exception is on purpose: when the file
// did not end in a line end of its own, it does so from then on.
func FuzzAddDelete(f *testing.F) {
	for _, content := range []string{"", plain, "ALL: ALL", "# x\\", "# x\\\n", "a\r\nb\r\n", "x\x00",
		"\x00\n", "\n", "ALL:1.2.3.40\nALL:[2001:db8::11]\n", "ALL:ALL:allow\r\n\\"} {
		for _, addr := range []target.Target{v4, v6} {
			f.Add([]byte(content), addr.Addr().AsSlice(), "ALL", false)
			f.Add([]byte(content), addr.Addr().AsSlice(), "sshd, in.ftpd", true)
		}
	}
	f.Fuzz(func(t *testing.T, content, raw []byte, daemons string, allow bool) {
		from, ok := netip.AddrFromSlice(raw)
		addr := target.Of(from)
		if !ok || from.Is4In6() || bytes.ContainsAny([]byte(daemons), ":#\\\x00") {
			return
		}
		form := newForm(daemons, allow)
		if len(form.find(content, addr)) > 0 {
			return // stands there already
		}
		before := bytes.Clone(content)
		added := form.planAdd(content, []target.Target{addr}).Apply(content)
		if !bytes.Equal(content, before) {
			t.Fatalf("planning changed what it read: %q", content)
		}
		if found := form.find(added, addr); len(found) != 1 {
			t.Fatalf("%q has entries %v for %s, want one", added, found, addr)
		}
		if mend := linefile.MissingEnd(added); len(mend) > 0 {
			t.Fatalf("last line not ended: %q", added)
		}
		want := append(bytes.Clone(content), linefile.MissingEnd(content)...)
		if got := linefile.Cut(form.matching(added, []target.Target{addr})).Apply(added); !bytes.Equal(got, want) {
			t.Fatalf("add then delete:\n got %q\nwant %q\n via %q", got, want, added)
		}
		many := form.planAdd(content, []target.Target{addr, addr}).Apply(content)
		if !bytes.Equal(many, added) {
			t.Fatalf("adding it twice makes\n%q\nof %q, once\n%q", many, content, added)
		}
		if got := linefile.Cut(form.matching(added, []target.Target{addr, addr})).Apply(added); !bytes.Equal(got, want) {
			t.Fatalf("removing it twice makes\n%q\nof %q, want\n%q", got, added, want)
		}
		quick, slow := form.find(added, addr), form.entries(added)
		for _, e := range slow {
			if e.Target == addr && (len(quick) != 1 || quick[0] != e) {
				t.Fatalf("find gives %v where entries has %v", quick, e)
			}
		}
	})
}

func BenchmarkAddDelete(b *testing.B) {
	for _, addr := range []target.Target{target.MustParse("203.0.113.7"), target.MustParse("2001:db8:9::7")} {
		b.Run(addr.String(), func(b *testing.B) {
			form, content := newForm("", false), crowdedFile(10000)
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				added := form.planAdd(content, []target.Target{addr}).Apply(content)
				linefile.Cut(form.matching(added, []target.Target{addr})).Apply(added)
			}
		})
	}
}

// crowdedFile returns a file of n entries, every other one IPv6.
func crowdedFile(n int) []byte {
	form, content := newForm("", false), []byte(plain)
	for i := range n {
		addr := target.Of(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
		if i%2 == 1 {
			addr = target.Of(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}))
		}
		content = append(append(content, form.line(addr)...), '\n')
	}
	return content
}
