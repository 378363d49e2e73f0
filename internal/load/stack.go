package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Ustack is the name of the engine that carries flows over package ustack, a TCP/IP stack
// in the worker process itself.
const Ustack = "ustack"

// StackDevices are the names that [StackSpec.Device] takes, each a device of package ustack.
var StackDevices = []string{"tun", "tap", "packet", "packet-ring", "packet-blocks", "xdp"}

// MaxStackQueues bounds the shards of a stack.
const MaxStackQueues = 64

// StackSpec is what a host's part of a run needs to know of the engine [Ustack].
type StackSpec struct {
	// Device is how frames come and go, one of [StackDevices]. A TUN or TAP device is made
	// in the worker's network namespace, with a route to Address, and goes with the worker;
	// the others attach to the link's interface, beside the kernel.
	Device string `json:"device"`
	// Queues of the device, each with a shard of the stack; 0: one.
	Queues int `json:"queues,omitempty"`
	// NoOffload has frames cross the device cut to the MTU and with whole checksums, as on a
	// wire. Otherwise segments of up to 64 KiB may pass, with the checksum left out (not xdp).
	NoOffload bool `json:"no_offload,omitempty"`
	// Techniques are the stack's switches (ustack.Techniques), by name; what is not named is
	// as the stack has it. Names and values are the engine's to check.
	Techniques map[string]string `json:"techniques,omitempty"`
	// Links are where the stack is attached: for each NIC of the flows one stack.
	Links []StackLink `json:"links"`
}

// StackLink is one stack of a host.
type StackLink struct {
	NIC       int    `json:"nic"`                 // FlowSpec.NIC of its flows
	Interface string `json:"interface,omitempty"` // of the host; needed but for tun and tap
	// Address is the stack's own, which no interface of the kernel may have: the kernel
	// would answer for it. Its prefix is that of the link.
	Address netip.Prefix `json:"address"`
	// Gateway is the router to everything else; may be invalid: there is none.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Own: the network namespace is the run's own, so the kernel may be told to forward to a
	// TUN or TAP device and to answer for the address on the link; elsewhere that is the host's to set.
	Own bool `json:"own,omitempty"`
}

// StackInfo is a stack as it was in force, read back from it.
type StackInfo struct {
	NIC        int               `json:"nic"`
	Device     string            `json:"device"`              // as [StackSpec.Device]
	Mode       string            `json:"mode,omitempty"`      // how the device works here, where there are several ways
	Interface  string            `json:"interface,omitempty"` // that it is attached to, or that was made
	Address    netip.Prefix      `json:"address"`
	MTU        int               `json:"mtu"` // bytes
	Queues     int               `json:"queues"`
	Offload    bool              `json:"offload"` // segments longer than the MTU may cross the device
	Techniques map[string]string `json:"techniques"`
	// Counters are what the stack counted in its life, under the kernel's names; those
	// that are zero are left out.
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// Virtual reports whether the device is made for the run, and not attached to an interface.
func (s *StackSpec) Virtual() bool { return s.Device == "tun" || s.Device == "tap" }

// Link is the link of a NIC.
func (s *StackSpec) Link(nic int) (StackLink, bool) {
	i := slices.IndexFunc(s.Links, func(l StackLink) bool { return l.NIC == nic })
	if i < 0 {
		return StackLink{}, false
	}
	return s.Links[i], true
}

// Validate reports the first field that is out of range, by its JSON name with "stack_" before it.
func (s *StackSpec) Validate() error {
	switch {
	case !slices.Contains(StackDevices, s.Device):
		return fmt.Errorf("stack_device: %q, want one of %s", s.Device, strings.Join(StackDevices, ", "))
	case s.Queues < 0 || s.Queues > MaxStackQueues:
		return fmt.Errorf("stack_queues: %d, want 0 (one) to %d", s.Queues, MaxStackQueues)
	}
	for _, l := range s.Links {
		switch {
		case !l.Address.IsValid() || l.Address.Addr().IsUnspecified() || l.Address.Addr().IsMulticast():
			return fmt.Errorf("stack_address: %v is no address with a prefix, as 192.0.2.10/24", l.Address)
		case l.Interface == "" && !s.Virtual():
			return fmt.Errorf("stack_device: %s attaches to an interface: name the NIC", s.Device)
		case len(l.Interface) > 15:
			return fmt.Errorf("stack_device: %q is longer than the name of an interface can be", l.Interface)
		}
	}
	return nil
}

// stack reports what is wrong with the spec's stack, if it needs one.
func (s *Spec) stack() error {
	switch {
	case s.Engine != Ustack && s.Stack != nil:
		return fmt.Errorf("stack: for the engine %q alone", Ustack)
	case s.Engine != Ustack:
		return nil
	case s.Stack == nil:
		return fmt.Errorf("stack: missing, the engine %q needs it", Ustack)
	}
	if err := s.Stack.Validate(); err != nil {
		return err
	}
	for i := range s.Flows {
		if err := s.Flows[i].fitsStack(); err != nil {
			return fmt.Errorf("flows[%d].%w", i, err)
		}
	}
	return nil
}

// fitsStack reports what the kernel's sockets have and the stack has not.
func (f *FlowSpec) fitsStack() error {
	const instead = "the engine \"" + Ustack + "\" has no such thing: leave it out, or use the engine \"kernel\""
	for _, o := range []struct {
		set  bool
		name string
	}{
		{f.Transport != "" && f.Transport != TCP && f.Transport != UDP, "transport: " + f.Transport},
		{f.SendMethod != "" && f.SendMethod != Copy, "send_method: " + f.SendMethod},
		{f.ReceiveMethod != "" && f.ReceiveMethod != Copy, "receive_method: " + f.ReceiveMethod},
		{f.SegmentBytes > 0, "segment_bytes: UDP_SEGMENT"},
		{f.GRO, "gro: UDP_GRO"},
		{f.Batch > 1, "batch: sendmmsg, recvmmsg"},
		{f.Priority != 0, "priority: SO_PRIORITY"},
		{f.TOS != 0, "tos: IP_TOS"},
		{f.Device != "", "bind_device: SO_BINDTODEVICE"},
		{f.SinglePort, "single_port: a port that the kernel listens on"},
		{f.PacingBytesPerSecond > 0, "pacing_bits_per_second: SO_MAX_PACING_RATE"},
	} {
		if o.set {
			return errors.New(o.name + ": " + instead)
		}
	}
	switch f.Congestion {
	case "", "cubic", "reno":
		return nil
	}
	return fmt.Errorf("congestion: %q: the engine %q has cubic and reno", f.Congestion, Ustack)
}
