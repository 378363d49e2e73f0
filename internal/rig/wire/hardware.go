package wire

import (
	"math"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// maxFrame is the longest frame that a tap gives: MTU 65535, Ethernet's and virtio's headers.
const maxFrame = 65535 + 18 + vnetBytes

// fairShare is how many frames a lane moves before the others get their turn.
const fairShare = 64

// hardwareMain moves frames between the NICs, on one thread: a lane each way of each link.
func hardwareMain() int {
	m, err := begin()
	if err != nil {
		return fail(hardwareRole, err)
	}
	runtime.LockOSThread()
	if prefer(hardwarePriority) {
		m.head.realTime.Store(1)
	}
	h := newHardware(m)
	m.head.hardware.Store(1)
	for {
		h.pass(clock.Now())
	}
}

// hardware is all that a pass of the thread needs; nothing is allocated after it is made.
type hardware struct {
	memory     *memory
	generation uint32
	lanes      []lane
	groups     []group
	polls      []unix.PollFd // by lane
	timeout    *unix.Timespec
	iovec      *unix.Iovec
	frame      []byte
}

// lane is one way of a link: out of a tap and into the other NIC's ring.
type lane struct {
	source   int // descriptor of the tap
	link     int
	to       Side
	port     *port
	ring     *ring
	line     line
	throttle throttle
	last     int // index of the CPU that had the last interrupt

	look    int64 // when to look at the tap again
	blocked int64 // until when the line or the bus lets no frame pass; 0: the tap was empty
}

// group is lanes that share a bus, both of a NIC at least; where buses limit nothing, each lane is one.
type group struct {
	lanes []*lane
	bus   bucket
	first int // lane whose turn it is
}

func newHardware(m *memory) *hardware {
	h := &hardware{
		memory: m, generation: math.MaxUint32, lanes: make([]lane, 2*m.links()), polls: make([]unix.PollFd, 2*m.links()),
		timeout: new(unix.Timespec), iovec: new(unix.Iovec), frame: make([]byte, maxFrame),
	}
	h.iovec.Base = &h.frame[0]
	h.iovec.SetLen(len(h.frame))
	for i := range h.lanes {
		link, to := i/2, Side(i%2)
		source := link
		if to == Server { // what the client's NIC sends
			source += m.links()
		}
		h.lanes[i] = lane{source: tapFD + source, link: link, to: to, port: &m.ports[to][link], ring: &m.rings[to][link]}
	}
	return h
}

// refresh takes settings that were changed.
func (h *hardware) refresh(now int64) {
	head := h.memory.head
	g := head.generation.Load()
	if g == h.generation || g%2 == 1 {
		return
	}
	h.generation = g
	h.groups = h.groups[:0]
	perBus, busRate := int(head.nicsPerBus.Load()), float64(head.busRate.Load())
	for i := range h.lanes {
		l := &h.lanes[i]
		l.line.rate, l.throttle.gap = float64(head.linkRate.Load()), int64(head.gap.Load())
		if n := len(h.groups); perBus > 0 && n > l.link/perBus {
			h.groups[n-1].lanes = append(h.groups[n-1].lanes, l)
			continue
		}
		one := group{lanes: []*lane{l}}
		if perBus > 0 {
			one.bus = newBucket(busRate, now)
		}
		h.groups = append(h.groups, one)
	}
}

// pass moves what may pass now, interrupts, and sleeps until there is more to do.
func (h *hardware) pass(now int64) {
	h.refresh(now)
	next := int64(never)
	for i := range h.groups {
		next = min(next, h.serve(&h.groups[i], now))
	}
	h.sleep(next)
}

// serve moves a group's frames and returns when it is to be looked at again.
func (h *hardware) serve(g *group, now int64) int64 {
	next := int64(never)
	for _, l := range g.lanes {
		next = min(next, l.look)
	}
	if next > now {
		return next
	}
	for _, l := range g.lanes {
		l.blocked = -1
	}
	again, last := false, g.first
	for turn := 0; ; turn++ {
		moved := false
		for k, n := g.first, len(g.lanes); k < g.first+n; k++ {
			if l := g.lanes[k%n]; l.blocked < 0 {
				if h.move(g, l, now); l.blocked < 0 {
					moved = true
					last = k%n + 1
				}
			}
		}
		g.first = last % len(g.lanes)
		if !moved {
			break
		}
		if turn == fairShare {
			again = true
			break
		}
	}
	next = never
	for _, l := range g.lanes {
		h.settle(l, now)
		next = min(next, l.look)
	}
	if again {
		return now
	}
	return next
}

// move moves one frame, or finds out why none may.
func (h *hardware) move(g *group, l *lane, now int64) {
	if at := max(l.line.next(), g.bus.next(now)); at > now {
		l.blocked = at
		return
	}
	// The position -1 is the file's own (preadv2(2)), of which a tap has none.
	n, errno := sysx.Raw(unix.SYS_PREADV2, uintptr(l.source), uintptr(unsafe.Pointer(h.iovec)), 1, math.MaxUint, math.MaxUint, unix.RWF_NOWAIT)
	if errno != 0 || n <= vnetBytes {
		l.line.idle(now)
		l.blocked = 0
		return
	}
	l.line.take(n - vnetBytes)
	g.bus.take(n - vnetBytes)
	p := l.port
	p.arrived.Store(p.arrived.Load() + 1)
	p.bytes.Store(p.bytes.Load() + uint64(n-vnetBytes))
	if !l.ring.put(h.frame[:n]) {
		p.dropped.Store(p.dropped.Load() + 1)
	}
}

// settle raises the interrupt of a lane's NIC where one is due, and says when to look again.
func (h *hardware) settle(l *lane, now int64) {
	due := l.throttle.due(now)
	busy := l.port.busy.Load() == 1
	if !l.ring.empty() && due <= now && !busy && l.port.busy.CompareAndSwap(0, 1) {
		h.interrupt(l, now)
		due = l.throttle.due(now)
	}
	switch {
	case l.blocked < 0:
		l.look = now
	case due > now: // nobody can see before then what arrives
		l.look = max(due, l.blocked)
	case busy && l.throttle.gap > 0: // a frame raises no interrupt while another is in hand
		l.look = max(now+l.throttle.gap, l.blocked)
	case l.blocked > 0:
		l.look = l.blocked
	default:
		l.look = never // until the tap has a frame
	}
	// What is in the ring already is due before that.
	if due > now && !l.ring.empty() {
		l.look = due
	}
}

func (h *hardware) interrupt(l *lane, now int64) {
	l.throttle.fire(now)
	cpu := following(&l.port.route, l.last, h.memory.cpus())
	if cpu < 0 { // between two stores of a route
		cpu = 0
	}
	l.last = cpu
	l.port.interrupts.Store(l.port.interrupts.Load() + 1)
	h.memory.bells[l.to][cpu].ring(l.link)
}

// sleep waits until a time, or until a tap has a frame whose lane waits for one.
func (h *hardware) sleep(until int64) {
	for i := range h.lanes {
		l := &h.lanes[i]
		h.polls[i].Fd = -1
		if l.look == never {
			h.polls[i].Fd = int32(l.source)
			h.polls[i].Events = unix.POLLIN
		}
	}
	var timeout uintptr // none
	if until != never {
		*h.timeout = unix.NsecToTimespec(max(0, until-clock.Now()))
		timeout = uintptr(unsafe.Pointer(h.timeout))
	}
	n, _ := sysx.Raw(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&h.polls[0])), uintptr(len(h.polls)), timeout, 0, 0, 0)
	for i := range h.lanes {
		if n > 0 && h.polls[i].Fd >= 0 && h.polls[i].Revents != 0 {
			h.lanes[i].look = 0
		}
	}
}
