// Package flow tells for each flow which CPU ran its receive softirq and which ran
// its reader, how many bytes went from one to another, how often either moved, and how
// much was copied out of buffers that another CPU had allocated: the locality whose want
// is the paper's cause of poor scaling, seen without hardware counters.
//
// A receive call's bytes are counted for the CPU that the socket's last segment came
// in on (sk_incoming_cpu), and the reader's. A call that returns what several CPUs
// brought counts for the last of them.
//
// Cross-CPU traffic is not cost in itself: read it beside CPU time per byte.
package flow

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/stackmeter/stackmeter/internal/profile/attach"
)

// pass is the prefix of the programs.
const pass = "flow"

// NotKnown is the softirq CPU of bytes whose socket has none noted, as UDP sockets
// that are not connected.
const NotKnown = -1

// Flow is one socket's receive side in a window.
type Flow struct {
	Protocol   string         `json:"protocol"` // tcp, udp or a number
	Local      netip.AddrPort `json:"local"`
	Peer       netip.AddrPort `json:"peer"`
	Netns      uint32         `json:"network_namespace"`
	PID        int            `json:"pid"` // of the first reader
	Comm       string         `json:"command"`
	Calls      uint64         `json:"receive_calls"`
	Bytes      uint64         `json:"bytes"`
	CrossBytes uint64         `json:"cross_cpu_bytes"` // softirq and reader on different CPUs
	Pairs      []Pair         `json:"cpus"`            // most bytes first
	Migrations uint64         `json:"reader_migrations"`
	Moves      uint64         `json:"softirq_moves"`
	// Copied is bytes copied out of buffers, CopiedRemote of them those out of buffers
	// that another CPU allocated, which it will free too.
	Copied       uint64 `json:"copied_bytes"`
	CopiedRemote uint64 `json:"copied_from_other_cpu_bytes"`
	// Wakeups are those of the reading process in the window; Remote ones put it on another
	// CPU than the waker's.
	Wakeups       uint64 `json:"wakeups"`
	RemoteWakeups uint64 `json:"remote_wakeups"`
}

// Pair is what went from one CPU's softirq to a reader on another, or the same.
type Pair struct {
	SoftIRQ int    `json:"softirq_cpu"`
	Reader  int    `json:"reader_cpu"`
	Calls   uint64 `json:"receive_calls"`
	Bytes   uint64 `json:"bytes"`
}

// Tracer holds the programs. It is not safe for concurrent use.
type Tracer struct{ set *attach.Set }

// Open loads the programs, attached to nothing yet. The error is a
// [host.NotSupportedError] where BPF can't be had.
func Open() (*Tracer, error) {
	spec, err := loadFlow()
	if err != nil {
		return nil, err
	}
	set, err := attach.Load(spec)
	if err != nil {
		return nil, err
	}
	return &Tracer{set}, nil
}

// Missing says which tracepoints this kernel does not offer.
func (t *Tracer) Missing() []attach.Missing { return t.set.Missing() }

// Start attaches the programs. What they count adds to what they counted before.
func (t *Tracer) Start() error { return t.set.Attach(pass) }

// Stop detaches them.
func (t *Tracer) Stop() error { return t.set.Detach() }

// Close unloads everything.
func (t *Tracer) Close() error { return t.set.Close() }

// Read returns the flows since Open, most bytes first, and how many events there was
// no room for.
func (t *Tracer) Read() (flows []Flow, lost uint64, err error) {
	byCPU := map[uint64][]Pair{}
	var k flowPair
	var v flowBytes
	it := t.set.Maps[flowMapPairs].Iterate()
	for it.Next(&k, &v) {
		p := Pair{SoftIRQ: int(int32(k.Softirq)), Reader: int(k.Reader), Calls: v.Calls, Bytes: v.Bytes}
		byCPU[k.Id] = append(byCPU[k.Id], p)
	}
	if err := it.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the flows' CPUs: %w", err)
	}
	wakes, err := t.wakeups()
	if err != nil {
		return nil, 0, err
	}
	var id uint64
	var f flowFlow
	it = t.set.Maps[flowMapFlows].Iterate()
	for it.Next(&id, &f) {
		flows = append(flows, describe(&f, byCPU[id], wakes[f.Reader]))
	}
	if err := it.Err(); err != nil {
		return nil, 0, fmt.Errorf("read the flows: %w", err)
	}
	slices.SortFunc(flows, func(a, b Flow) int { return cmp.Compare(b.Bytes, a.Bytes) })
	var n []uint64
	if err := t.set.Maps[flowMapLost].Lookup(uint32(0), &n); err != nil {
		return nil, 0, fmt.Errorf("read what was lost: %w", err)
	}
	for _, x := range n {
		lost += x
	}
	return flows, lost, nil
}

func (t *Tracer) wakeups() (map[uint32]flowWakes, error) {
	out := map[uint32]flowWakes{}
	var pid uint32
	var perCPU []flowWakes
	it := t.set.Maps[flowMapWakeups].Iterate()
	for it.Next(&pid, &perCPU) {
		var sum flowWakes
		for _, w := range perCPU {
			sum.All += w.All
			sum.Remote += w.Remote
		}
		out[pid] = sum
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read the wake-ups: %w", err)
	}
	return out, nil
}

func describe(f *flowFlow, pairs []Pair, w flowWakes) Flow {
	out := Flow{
		Protocol: protocol(f.Protocol), Netns: f.Netns, PID: int(f.Reader), Comm: text(f.Comm[:]),
		Local: address(f.Family, f.Local, f.LocalPort), Peer: address(f.Family, f.Peer, f.PeerPort),
		Migrations: f.Migrations, Moves: f.Moves, Copied: f.Copied, CopiedRemote: f.CopiedRemote,
		Wakeups: w.All, RemoteWakeups: w.Remote,
	}
	slices.SortFunc(pairs, func(a, b Pair) int { return cmp.Compare(b.Bytes, a.Bytes) })
	out.Pairs = pairs
	for _, p := range pairs {
		out.Calls += p.Calls
		out.Bytes += p.Bytes
		if p.SoftIRQ != NotKnown && p.SoftIRQ != p.Reader {
			out.CrossBytes += p.Bytes
		}
	}
	return out
}

func protocol(n uint32) string {
	switch n {
	case 6, 262: // IPPROTO_TCP, IPPROTO_MPTCP
		return "tcp"
	case 17:
		return "udp"
	}
	return fmt.Sprint(n)
}

const familyINET6 = 10

func address(family uint32, b [16]uint8, port uint16) netip.AddrPort {
	a := netip.AddrFrom4([4]byte(b[:4]))
	if family == familyINET6 {
		a = netip.AddrFrom16(b).Unmap()
	}
	return netip.AddrPortFrom(a, port)
}

func text(c []int8) string {
	b := make([]byte, 0, len(c))
	for _, x := range c {
		if x == 0 {
			break
		}
		b = append(b, byte(x))
	}
	return string(b)
}
