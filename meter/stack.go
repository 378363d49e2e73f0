package meter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/userstack"
	"github.com/stackmeter/stackmeter/internal/rig"
)

// Stack is what the engine "ustack" needs to know: a TCP/IP stack in user space (package ustack),
// in the process that makes the load.
type Stack struct {
	// Ends are those that run on it: "server" (default), which accepts connections and is the receiver
	// but of maerts; "client"; or "both". The other end runs on the kernel's sockets.
	Ends string `json:"stack_ends,omitempty"`
	// Device is how frames come and go: "tun" (default on the built-in rig), "tap", "packet" (default
	// between hosts), "packet-ring", "packet-blocks", "xdp". TUN and TAP devices are made for the run.
	Device string `json:"stack_device,omitempty"`
	Queues int    `json:"stack_queues,omitempty"` // of the device, each with a shard of the stack; 0: one
	// NoOffload has frames cross the device as they are on a wire; otherwise segments of up to 64 KiB
	// may pass with their checksum left out.
	NoOffload bool `json:"stack_no_offload,omitempty"`
	// Techniques are the stack's switches by name (ustack.Techniques); what is not named is as the
	// stack has it.
	Techniques map[string]string `json:"techniques,omitempty"`
	// Addresses are the stacks' own, with the prefix of their subnet: one for each host that runs
	// it, senders before receivers. The built-in rig has its own.
	Addresses []netip.Prefix `json:"stack_addresses,omitempty"`
	// Gateway is the router to hosts on other subnets; may be invalid: there are none.
	Gateway netip.Addr `json:"stack_gateway,omitzero"`
}

// ends that run on the stack.
const (
	endServer = "server"
	endClient = "client"
	endBoth   = "both"
)

// engine is what an end runs on.
func (c *Config) engine(role load.Role) string {
	if c.Engine == load.Ustack && !c.Stack.runs(role) {
		return "kernel"
	}
	return c.Engine
}

func (s *Stack) runs(role load.Role) bool { return s.Ends == endBoth || s.Ends == string(role) }

// roleOf is what the senders, or the receivers, do.
func (c *Config) roleOf(side string) load.Role {
	if (side == sender) == c.clientSends() {
		return load.Client
	}
	return load.Server
}

// normalizeStack fills in the defaults of the stack.
func (c *Config) normalizeStack() {
	if c.Engine != load.Ustack {
		return
	}
	if c.Stack.Ends == "" {
		c.Stack.Ends = endServer
	}
	if c.Stack.Device == "" {
		c.Stack.Device = "packet"
		if len(c.Senders)+len(c.Receivers) == 0 {
			c.Stack.Device = "tun"
		}
	}
}

// checkStack reports the first field of the stack that can't be meant.
func (c *Config) checkStack() error {
	s := &c.Stack
	if c.Engine != load.Ustack {
		for name, set := range map[string]bool{
			"stack_ends": s.Ends != "", "stack_device": s.Device != "", "stack_queues": s.Queues != 0, "stack_no_offload": s.NoOffload,
			"techniques": len(s.Techniques) > 0, "stack_addresses": len(s.Addresses) > 0, "stack_gateway": s.Gateway.IsValid(),
		} {
			if set {
				return fmt.Errorf("%s: for the engine %q alone", name, load.Ustack)
			}
		}
		return nil
	}
	if !slices.Contains([]string{endServer, endClient, endBoth}, s.Ends) {
		return fmt.Errorf("stack_ends: %q, want %q, %q or %q", s.Ends, endServer, endClient, endBoth)
	}
	if _, err := userstack.Techniques(s.Techniques); err != nil {
		return fmt.Errorf("techniques: %w", err)
	}
	if c.RigPairs > 0 {
		if len(s.Addresses) > 0 || s.Gateway.IsValid() {
			return errors.New("stack_addresses, stack_gateway: the built-in rig has its own")
		}
		return nil
	}
	need := 0
	for side, hosts := range map[string][]Host{sender: c.Senders, receiver: c.Receivers} {
		if s.runs(c.roleOf(side)) {
			need += len(hosts)
		}
	}
	virtual := s.Device == "tun" || s.Device == "tap"
	switch {
	case len(s.Addresses) != need:
		return fmt.Errorf("stack_addresses: %d, want one for each of the %d hosts that run the stack, which nobody has, as 192.0.2.10/24", len(s.Addresses), need)
	case c.Model == Process:
		return fmt.Errorf("model: %q has a process for each pair, and a stack can be in one alone: choose %q or %q", Process, Thread, Epoll)
	case !virtual && !c.stackNICs():
		return fmt.Errorf("stack_device: %s attaches to a NIC: name that of every host that runs the stack", s.Device)
	}
	for _, a := range s.Addresses {
		if err := (&load.StackSpec{Device: "tun", Links: []load.StackLink{{Address: a}}}).Validate(); err != nil {
			return err
		}
	}
	return nil
}

// stackNICs reports whether the NIC of every host that runs the stack is named.
func (c *Config) stackNICs() bool {
	for side, hosts := range map[string][]Host{sender: c.Senders, receiver: c.Receivers} {
		if c.Stack.runs(c.roleOf(side)) && slices.ContainsFunc(hosts, func(h Host) bool { return h.NIC == "" }) {
			return false
		}
	}
	return true
}

// stackSpec is the stack of a host without its links; nil where its engine is another.
func (c *Config) stackSpec(role load.Role) *load.StackSpec {
	if c.engine(role) != load.Ustack {
		return nil
	}
	return &load.StackSpec{Device: c.Stack.Device, Queues: c.Stack.Queues, NoOffload: c.Stack.NoOffload, Techniques: c.Stack.Techniques}
}

// sampleStack is a stack as a host would have it, to be checked.
func (c *Config) sampleStack(role load.Role) *load.StackSpec {
	s := c.stackSpec(role)
	if s != nil {
		s.Links = []load.StackLink{{Interface: "nic", Address: rig.Plan(1)[0].Server.Stack()}}
	}
	return s
}

// stackAddress is the stack's address of host i of a side; invalid where it runs none.
func (c *Config) stackAddress(side string, i int) netip.Prefix {
	if c.Engine != load.Ustack || !c.Stack.runs(c.roleOf(side)) {
		return netip.Prefix{}
	}
	if side == receiver && c.Stack.runs(c.roleOf(sender)) {
		i += len(c.Senders)
	}
	return c.Stack.Addresses[i]
}

// link attaches a host's stack for the flows of pair k.
func (f *fleet) link(s *station, k int, nic string, address netip.Prefix) {
	s.spec.Stack.Links = append(s.spec.Stack.Links, load.StackLink{
		NIC: k, Interface: nic, Address: address, Gateway: f.config.Stack.Gateway, Own: f.kind == rigVeth,
	})
}

// realFrames has the NICs of the built-in rig send what a stack without offload can take: frames cut to
// the MTU, with whole checksums.
func (f *fleet) realFrames(ctx context.Context, s *station) error {
	c := &f.config.Stack
	if f.kind != rigVeth || f.config.Engine != load.Ustack || c.Device != "xdp" && (!c.NoOffload || c.Device == "tun" || c.Device == "tap") {
		return nil
	}
	off := map[string]bool{"tso": false, "gso": false, "tx": false, "gro": false}
	_, err := s.client.Configure(ctx, agent.Configure{NICs: []agent.NICSettings{{Name: s.NICs[0], Features: off}}})
	return err
}
