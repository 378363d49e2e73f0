// Package userstack is the load engine "ustack": it carries flows over package ustack, a
// TCP/IP stack in the worker process. The other end may run on the same engine or on the
// kernel's sockets: what they say to each other is the same.
//
// What a reader of figures must know:
//   - A flow is a goroutine, not a thread (load.Resident). Model "thread" and "process" call
//     Read and Write, which wait; model "epoll" never waits in a connection and has a poller of
//     its own, rung by the stack.
//   - All CPU time of the stack is the worker process's, beside what the kernel does for the
//     device.
//   - The collector runs, as in any program that uses the stack: a steady stream makes no
//     garbage, a connection of crr does.
//   - Buffers and congestion control belong to a stack and not to a connection, so all flows of
//     a NIC must ask for the same.
//   - crr: the server's answer and the end of the stream are two segments; the engine "kernel" sends one.
//   - udp: a sender is never slowed down by its socket, as the kernel's is by its send buffer;
//     what the device has no room for is dropped, and lost.
package userstack

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/ustack"
)

// Engine is the engine "ustack".
type Engine struct{}

var _ load.Resident = Engine{}

// ErrNotBegun is what Listen, Dial and Poller return before Begin.
var errNotBegun = errors.New("the engine \"ustack\" has not begun")

// Listen needs Begin.
func (Engine) Listen(*load.FlowSpec) (load.Listener, error) { return nil, errNotBegun }

// Dial needs Begin.
func (Engine) Dial(*load.FlowSpec, int, string, load.DialOptions) (load.Transport, error) {
	return nil, errNotBegun
}

// Poller needs Begin.
func (Engine) Poller() (load.Poller, error) { return nil, errNotBegun }

// Techniques reads switches by their names.
func Techniques(by map[string]string) (t ustack.Techniques, err error) {
	for _, name := range slices.Sorted(maps.Keys(by)) {
		if err := t.Set(name, by[name]); err != nil {
			return t, err
		}
	}
	return t, nil
}

// engine is the stacks of a worker.
type engine struct{ stacks map[int]*stack }

// stack is what the flows of one NIC run on.
type stack struct {
	*ustack.Stack
	info    load.StackInfo
	address netip.Prefix
	send    int    // bytes of a send buffer, at most
	control string // congestion control
}

// Begin makes a stack for each NIC of the flows.
func (Engine) Begin(s *load.Spec) (load.Stacked, error) {
	e := &engine{stacks: map[int]*stack{}}
	for i := range s.Flows {
		f := &s.Flows[i]
		if e.stacks[f.NIC] != nil {
			continue
		}
		link, ok := s.Stack.Link(f.NIC)
		if !ok {
			return nil, errors.Join(fmt.Errorf("stack.links: none is of NIC %d, which has flows", f.NIC), e.close())
		}
		if same := e.at(link.Address); same != nil { // several pairs of one host
			e.stacks[f.NIC] = same
			continue
		}
		st, err := newStack(s, f, link)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("user-space stack at %v: %w", link.Address, err), e.close())
		}
		e.stacks[f.NIC] = st
	}
	return e, nil
}

// at is the stack of an address.
func (e *engine) at(a netip.Prefix) *stack {
	for _, st := range e.stacks {
		if st.address == a {
			return st
		}
	}
	return nil
}

// newStack makes the stack of a NIC, as the first of its flows asks.
func newStack(s *load.Spec, f *load.FlowSpec, link load.StackLink) (*stack, error) {
	for i := range s.Flows {
		if o := &s.Flows[i]; sameStack(s.Stack, o.NIC, link) && (o.Congestion != f.Congestion || o.SendBufferBytes != f.SendBufferBytes || o.ReceiveBufferBytes != f.ReceiveBufferBytes) {
			return nil, errors.New("congestion, send_buffer_bytes, receive_buffer_bytes: must be alike for all flows of a NIC, they are the stack's")
		}
	}
	techniques, err := Techniques(s.Stack.Techniques)
	if err != nil {
		return nil, err
	}
	d, err := openDevice(s.Stack, link)
	if err != nil {
		return nil, err
	}
	cfg := ustack.Config{
		Device: d.Device, Addresses: []netip.Prefix{link.Address}, Techniques: techniques,
		TCP: ustack.TCPConfig{
			ReceiveBuffer: f.ReceiveBufferBytes, ReceiveBufferMax: f.ReceiveBufferBytes, SendBufferMax: f.SendBufferBytes,
			KeepAlive: -1, Backlog: max(1024, s.FlowCount()),
		},
	}
	if f.Congestion == "reno" {
		cfg.TCP.Congestion = ustack.NewReno
	}
	if link.Gateway.IsValid() {
		cfg.Gateways = []netip.Addr{link.Gateway}
	}
	st, err := ustack.New(cfg)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	info := d.Info()
	out := &stack{
		Stack: st, address: link.Address, send: f.SendBufferBytes, control: cmp.Or(f.Congestion, "cubic"),
		info: load.StackInfo{
			NIC: f.NIC, Device: s.Stack.Device, Mode: d.Mode, Interface: info.Name, Address: link.Address, MTU: info.MTU,
			Queues: info.Queues, Offload: info.SegmentSize > 0, Techniques: st.Techniques().Strings(),
		},
	}
	return out, nil
}

// sameStack reports whether the flows of a NIC run on a link's stack.
func sameStack(s *load.StackSpec, nic int, link load.StackLink) bool {
	l, ok := s.Link(nic)
	return ok && l.Address == link.Address
}

func (e *engine) close() error {
	var errs []error
	for _, st := range e.stacks {
		errs = append(errs, st.Close())
	}
	return errors.Join(errs...)
}

// Stacks tells what is in force.
func (e *engine) Stacks() []load.StackInfo {
	var out []load.StackInfo
	for _, nic := range slices.Sorted(maps.Keys(e.stacks)) {
		info := e.stacks[nic].info
		if info.NIC != nic { // told already
			continue
		}
		info.Counters = e.stacks[nic].Counters()
		maps.DeleteFunc(info.Counters, func(_ string, n uint64) bool { return n == 0 })
		out = append(out, info)
	}
	return out
}

// Listen prepares the server's end.
func (e *engine) Listen(f *load.FlowSpec) (load.Listener, error) {
	st := e.stacks[f.NIC]
	if f.Transport == load.UDP {
		return st.listenUDP(f)
	}
	return st.listen(f)
}

// Dial makes the client's end.
func (e *engine) Dial(f *load.FlowSpec, id int, to string, o load.DialOptions) (load.Transport, error) {
	st := e.stacks[f.NIC]
	remote, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, fmt.Errorf("address %q: want ADDRESS:PORT", to)
	}
	switch {
	case f.Transport == load.UDP:
		return st.dialUDP(f, id, remote, o)
	case o.Reopens:
		return newConnector(st, f, remote, o), nil
	}
	return st.dial(f, id, remote, o)
}

// Poller waits for connections of all stacks.
func (e *engine) Poller() (load.Poller, error) { return newPoller(), nil }
