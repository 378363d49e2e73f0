package wire

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Ref is how a process of the rig's user reaches the interrupts of one host's NICs.
type Ref struct {
	PID  int      `json:"pid"`  // process whose threads are the interrupts
	Side Side     `json:"side"` // 0: the server's, 1: the client's
	NICs []string `json:"nics"` // in the order of the links
}

// Interrupts are the interrupts of one host's NICs.
type Interrupts struct {
	ref    Ref
	memory *memory
}

// Open reaches the interrupts. The caller closes them.
func (r Ref) Open() (*Interrupts, error) {
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", r.PID, memoryFD), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("interrupts of the rig: %w", err)
	}
	m, err := mapMemory(f)
	if err != nil {
		return nil, err
	}
	if r.Side != Server && r.Side != Client || len(r.NICs) != m.links() {
		return nil, fmt.Errorf("%d NICs of side %d, the rig has %d on each of two", len(r.NICs), r.Side, m.links())
	}
	return &Interrupts{r, m}, nil
}

// Close leaves the interrupts as they are.
func (i *Interrupts) Close() error { return i.memory.close() }

// PID is the process that does the NICs' receive work.
func (i *Interrupts) PID() int { return i.ref.PID }

// Has reports whether a NIC is one of these.
func (i *Interrupts) Has(nic string) bool { return slices.Contains(i.ref.NICs, nic) }

func (i *Interrupts) port(nic string) (*port, error) {
	n := slices.Index(i.ref.NICs, nic)
	if n < 0 {
		return nil, fmt.Errorf("NIC %q is none of the rig", nic)
	}
	return &i.memory.ports[i.ref.Side][n], nil
}

// Route sends a NIC's interrupts to these CPUs, from the next one on: of several, to each in turn.
func (i *Interrupts) Route(nic string, cpus ...int) error {
	p, err := i.port(nic)
	if err != nil {
		return err
	}
	return i.memory.store(&p.route, cpus)
}

// Release lets a NIC's interrupts go where they went before [Interrupts.Route].
func (i *Interrupts) Release(nic string) error {
	return i.Route(nic, i.memory.load(&i.memory.head.free)...)
}

// Routed is the CPUs that a NIC's interrupts go to, as read back: that of each thread that would
// serve one, by the kernel.
func (i *Interrupts) Routed(nic string) (host.CPUList, error) {
	p, err := i.port(nic)
	if err != nil {
		return nil, err
	}
	var out host.CPUList
	for _, cpu := range i.memory.load(&p.route) {
		at, err := i.memory.index(cpu)
		if err != nil {
			return nil, err
		}
		on, err := sysx.Affinity(int(i.memory.bells[i.ref.Side][at].tid.Load()))
		if err != nil {
			return nil, err
		}
		out = append(out, on...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Counters are the counts of the NICs since the rig began, by names such as "srv0.interrupts":
// interrupts raised; wire_frames that came over the cable, ring_frames of them handed to the
// kernel, as ring_packets where segments were joined, and ring_dropped for lack of room in the ring;
// interrupts_cpu0 and ring_frames_cpu0 of each CPU.
func (i *Interrupts) Counters() map[string]uint64 {
	out := map[string]uint64{}
	for n, nic := range i.ref.NICs {
		p := &i.memory.ports[i.ref.Side][n]
		out[nic+".interrupts"] = p.interrupts.Load()
		out[nic+".wire_frames"] = p.arrived.Load()
		out[nic+".wire_bytes"] = p.bytes.Load()
		out[nic+".ring_dropped"] = p.dropped.Load()
		for c := range i.memory.cpus() {
			s := i.memory.count(i.ref.Side, n, c)
			cpu := strconv.Itoa(int(i.memory.head.ids[c]))
			out[nic+".interrupts_cpu"+cpu] = s.interrupts.Load()
			out[nic+".ring_frames_cpu"+cpu] = s.frames.Load()
			out[nic+".ring_frames"] += s.frames.Load()
			out[nic+".ring_packets"] += s.packets.Load()
			out[nic+".ring_refused"] += s.refused.Load()
		}
	}
	return out
}
