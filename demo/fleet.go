package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"path/filepath"
)

// agent is a second host of the fleet.
type agent struct {
	home string
	pid  int
}

// secondHost starts the second host, with a home of its own, and joins it to the attacker's machine.
func (s *stage) secondHost() error {
	s.agent.home = filepath.Join(s.home, "web2")
	if err := install(s.agent.home); err != nil {
		return err
	}
	cmd := another("agent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the second host: %w", err)
	}
	s.agent.pid = cmd.Process.Pid
	there, here := within(s.attackerPID), within(s.agent.pid)
	if err := setUp(
		there+fmt.Sprintf("ip link add eth1 type veth peer name eth0 netns %d", s.agent.pid),
		there+"ip link set eth1 up",
		there+"ip route add "+second+" dev eth1 src "+attacker,
		here+"ip link set lo up",
		here+"ip addr add "+second+"/24 dev eth0",
		here+"ip link set eth0 up",
	); err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("the second host does not listen: %w", err)
	}
	return nil
}

// serve is the second host's service. It lets in who comes to it.
func serve() error {
	server, err := net.Listen("tcp", ":22")
	if err != nil {
		return err
	}
	fmt.Println("it listens")
	for {
		conn, err := server.Accept()
		if err != nil {
			return errors.Join(err, server.Close())
		}
		_ = conn.Close() // who gets this far was let in
	}
}
