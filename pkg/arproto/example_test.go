package arproto_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ossec-ar/ossec-ar/pkg/arproto"
)

// An OSSEC daemon passes arguments. LOCATION holds a blank here.
func ExampleParseArgs() {
	r, err := arproto.ParseArgs([]string{"add", "root", "::ffff:203.0.113.7", "1304756247.60385", "5712", "web", "server->/var/log/auth.log", "-"})
	fmt.Println(r.Action, r.Addr, r.User, r.RuleID, r.Location, err)

	_, err = arproto.ParseArgs([]string{"add", "-", "evil.example.com", "1304756247.60386", "5712"})
	fmt.Println(err)
	// Output:
	// add 203.0.113.7 root 5712 web server->/var/log/auth.log <nil>
	// address "evil.example.com": not an IPv4 or IPv6 address (names are never resolved)
}

// A Wazuh daemon writes a line of JSON to standard input. Before an add the response asks
// on standard output whether to go on, and reads the answer.
func ExampleConn_CheckKeys() {
	stdin := strings.NewReader(`{"version":1,"command":"add","parameters":{"alert":{"id":"1669818000.12345","rule":{"id":"5763"},"data":{"srcip":"192.0.2.7"}}}}
{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"continue","parameters":{}}
`)
	conn := arproto.NewConn(stdin, os.Stdout)
	r, err := conn.ReadRequest(10*time.Second, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if r.Action == arproto.Add {
		goOn, err := conn.CheckKeys("my-response", []string{r.Key()}, 10*time.Second)
		fmt.Println(goOn, err)
	}
	fmt.Println(r.Action, r.Addr, r.AlertID, r.RuleID)
	// Output:
	// {"version":1,"origin":{"name":"my-response","module":"active-response"},"command":"check_keys","parameters":{"keys":["192.0.2.7"]}}
	// true <nil>
	// add 192.0.2.7 1669818000.12345 5763
}
