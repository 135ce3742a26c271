package whitelist_test

import (
	"fmt"
	"net/netip"

	"github.com/ossec-ar/ossec-ar/pkg/whitelist"
)

func Example() {
	var list whitelist.List
	_ = list.Add("10.0.0.*, 192.168.0.0/255.255.0.0", "my.conf:3")
	if err := list.Add("10.0.0.0/33", "my.conf:4"); err != nil {
		fmt.Println(err)
	}
	for _, text := range []string{"192.168.7.7", "203.0.113.7"} {
		match, covered := list.Match(netip.MustParseAddr(text))
		fmt.Println(text, covered, match)
	}
	// Output:
	// my.conf:4: whitelist entry "10.0.0.0/33": means no address, network or host name: the mask does not fit
	// 192.168.7.7 true 10.0.0.*, 192.168.0.0/255.255.0.0 (my.conf:3)
	// 203.0.113.7 false  ()
}
