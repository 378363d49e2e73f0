package wire

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Side is one of the two hosts.
type Side int

// The hosts.
const (
	Server Side = iota
	Client
)

// maxCPUs is to how many CPUs interrupts may be routed.
const maxCPUs = 512

const magic = 0x77697265

// header begins the memory.
type header struct {
	magic, links, cpus uint32
	generation         atomic.Uint32 // of the settings: odd while they change
	hardware           atomic.Uint32 // 1: stands ready
	realTime           atomic.Uint32 // 1: it and the interrupts are real-time threads
	nicsPerBus         atomic.Uint32
	linkRate, busRate  atomic.Uint64 // bits per second
	gap                atomic.Uint64 // nanoseconds between interrupts
	merge              [2]atomic.Uint32
	free               [maxCPUs / 64]atomic.Uint64
	ids                [maxCPUs]uint32 // of the CPUs
	_                  [64]byte
}

// bell is what wakes the thread of one CPU of one host. It has a pair of cache lines for itself.
type bell struct {
	pending atomic.Uint64 // NICs that interrupt, by bit
	asleep  atomic.Uint32 // futex: 1 while the thread sleeps
	tid     atomic.Uint32 // of the thread
	_       [128 - 16]byte
}

// port is one NIC's receive side. Each pair of cache lines has one writer, but for busy.
type port struct {
	route [maxCPUs / 64]atomic.Uint64 // indices of CPUs; the controller's and the agents'
	_     [64]byte

	head atomic.Uint64 // of the ring; the hardware's, as all to the next gap
	hardwareCounts
	_ [128 - 5*8]byte

	tail atomic.Uint64 // of the ring; of the thread that has the NIC's interrupt in hand
	_    [128 - 8]byte

	busy atomic.Uint32 // 1: an interrupt was raised and is in hand, none other is raised
	_    [128 - 4]byte
}

// hardwareCounts are since the rig began, as all counts here.
type hardwareCounts struct {
	interrupts, arrived, bytes, dropped atomic.Uint64
}

// served is what the thread of one CPU did for one NIC.
type served struct {
	interrupts, polls, frames, packets, refused atomic.Uint64
	_                                           [128 - 5*8]byte
}

// Ring geometry: a slot holds a frame of Ethernet's usual size; longer ones take several, as in a
// NIC whose buffers are 2 KiB.
const (
	ringSlots = 256 // the e1000 driver's
	slotBytes = 2048
)

// memory is the mapping that all processes of the rig share.
type memory struct {
	file   *os.File // of those that pass it on
	raw    []byte
	head   *header
	bells  [2][]bell   // by side, then CPU index
	ports  [2][]port   // by side, then link
	served [2][]served // by side, link and CPU index
	rings  [2][]ring
}

type layout struct{ bells, ports, served, rings, total int }

func lay(links, cpus int) layout {
	l := layout{bells: (int(unsafe.Sizeof(header{})) + 127) &^ 127}
	l.ports = l.bells + 2*cpus*int(unsafe.Sizeof(bell{}))
	l.served = l.ports + 2*links*int(unsafe.Sizeof(port{}))
	l.rings = (l.served + 2*links*cpus*int(unsafe.Sizeof(served{})) + 4095) &^ 4095
	l.total = l.rings + 2*links*ringSlots*slotBytes
	return l
}

// newMemory makes the memory for so many links and these CPUs.
func newMemory(links int, cpus []int) (*memory, error) {
	if links < 1 || links > 64 || len(cpus) < 1 || len(cpus) > maxCPUs {
		return nil, fmt.Errorf("%d links and %d CPUs: want 1 to 64 and 1 to %d", links, len(cpus), maxCPUs)
	}
	fd, err := unix.MemfdCreate("stackmeter-wire", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create for the rings: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stackmeter-wire")
	if err := f.Truncate(int64(lay(links, len(cpus)).total)); err != nil {
		f.Close()
		return nil, fmt.Errorf("size the rings: %w", err)
	}
	first := make([]byte, unsafe.Sizeof(header{}))
	h := (*header)(unsafe.Pointer(&first[0]))
	h.magic, h.links, h.cpus = magic, uint32(links), uint32(len(cpus))
	for i, c := range cpus {
		h.ids[i] = uint32(c)
	}
	if _, err := f.WriteAt(first, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the rings' head: %w", err)
	}
	return mapMemory(f)
}

// mapMemory takes ownership of f.
func mapMemory(f *os.File) (*memory, error) {
	m, err := mapping(f)
	if err != nil {
		f.Close()
	}
	return m, err
}

func mapping(f *os.File) (*memory, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < int64(unsafe.Sizeof(header{})) || st.Size() > 1<<32 {
		return nil, errors.New("the memory of the rig has no size of one")
	}
	raw, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the rings: %w", err)
	}
	m := &memory{file: f, raw: raw, head: (*header)(unsafe.Pointer(&raw[0]))}
	links, cpus := int(m.head.links), int(m.head.cpus)
	if m.head.magic != magic || links < 1 || links > 64 || cpus < 1 || cpus > maxCPUs || lay(links, cpus).total != len(raw) {
		_ = unix.Munmap(raw)
		return nil, errors.New("the memory is not that of a rig of this version")
	}
	l := lay(links, cpus)
	bells := unsafe.Slice((*bell)(unsafe.Pointer(&raw[l.bells])), 2*cpus)
	ports := unsafe.Slice((*port)(unsafe.Pointer(&raw[l.ports])), 2*links)
	counts := unsafe.Slice((*served)(unsafe.Pointer(&raw[l.served])), 2*links*cpus)
	for s := range 2 {
		m.bells[s] = bells[s*cpus:][:cpus:cpus]
		m.ports[s] = ports[s*links:][:links:links]
		m.served[s] = counts[s*links*cpus:][: links*cpus : links*cpus]
		for i := range links {
			at := l.rings + (s*links+i)*ringSlots*slotBytes
			m.rings[s] = append(m.rings[s], ring{
				mem:  raw[at:][: ringSlots*slotBytes : ringSlots*slotBytes],
				head: &m.ports[s][i].head, tail: &m.ports[s][i].tail,
			})
		}
	}
	return m, nil
}

func (m *memory) close() error {
	err := unix.Munmap(m.raw)
	m.head, m.raw = nil, nil
	return errors.Join(err, m.file.Close())
}

func (m *memory) links() int { return int(m.head.links) }
func (m *memory) cpus() int  { return int(m.head.cpus) }

// count is what the thread of the CPU of an index did for a NIC.
func (m *memory) count(s Side, nic, index int) *served {
	return &m.served[s][nic*m.cpus()+index]
}
