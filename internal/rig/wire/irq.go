package wire

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// weight is how many frames of a NIC are handed over before the next NIC's: NAPI_POLL_WEIGHT.
const weight = 64

// irqMain is the interrupts of one host: a thread on each CPU.
func irqMain() int {
	side, err := strconv.Atoi(os.Getenv(sideVariable))
	if err != nil || side < 0 || side > int(Client) {
		return fail(irqRole, fmt.Errorf("%s: no side", sideVariable))
	}
	m, err := begin()
	if err != nil {
		return fail(irqRole, err)
	}
	failed := make(chan error)
	for i := range m.cpus() {
		go func() {
			runtime.LockOSThread()
			failed <- (&irqThread{memory: m, side: Side(side), index: i}).run()
		}()
	}
	return fail(irqRole, <-failed)
}

// irqThread serves the interrupts that are routed to one CPU.
type irqThread struct {
	memory     *memory
	side       Side
	index      int // of its CPU
	generation uint32
	joint      joint
}

func (t *irqThread) run() error {
	prefer(irqPriority)
	cpu := int(t.memory.head.ids[t.index])
	if err := sysx.SetAffinity(0, []int{cpu}); err != nil {
		return err
	}
	bell := &t.memory.bells[t.side][t.index]
	bell.tid.Store(uint32(unix.Gettid()))
	for {
		t.interrupts(bell.wait(), cpu)
	}
}

// interrupts serves NICs, each until its ring is empty.
func (t *irqThread) interrupts(nics uint64, cpu int) {
	if g := t.memory.head.generation.Load(); g != t.generation {
		// A CPU that was offline has lost its threads to others. One that still is takes none back.
		t.generation = g
		_ = sysx.SetAffinity(0, []int{cpu})
	}
	first := true
	for nics != 0 {
		for nic := range t.memory.links() {
			if nics&(1<<nic) == 0 {
				continue
			}
			c := t.memory.count(t.side, nic, t.index)
			if first {
				c.interrupts.Store(c.interrupts.Load() + 1)
			}
			if t.poll(nic, c) {
				nics &^= 1 << nic
			}
		}
		first = false
	}
}

// poll hands frames of a NIC to the kernel, and reports whether its ring was left empty and its
// interrupt enabled.
func (t *irqThread) poll(nic int, c *served) bool {
	r := &t.memory.rings[t.side][nic]
	merge := t.memory.head.merge[t.side].Load() == 1
	c.polls.Store(c.polls.Load() + 1)
	place := r.first()
	for done := uint64(0); done < weight; {
		frame, next := r.at(place)
		if frame == nil {
			r.free(next)
			busy := &t.memory.ports[t.side][nic].busy
			busy.Store(0)
			// A frame that came before the store has raised no interrupt.
			return r.empty() || !busy.CompareAndSwap(0, 1)
		}
		frames := uint64(1)
		if merge && t.joint.begin(frame) {
			for !t.joint.full() {
				more, after := r.at(next)
				if more == nil || !t.joint.add(more) {
					break
				}
				next = after
				frames++
			}
		}
		var errno unix.Errno
		if frames == 1 {
			_, errno = sysx.Raw(unix.SYS_WRITE, uintptr(tapFD+nic), pointer(frame), uintptr(len(frame)), 0, 0, 0)
		} else {
			pieces := t.joint.pieces()
			_, errno = sysx.Raw(unix.SYS_WRITEV, uintptr(tapFD+nic), uintptr(unsafe.Pointer(unsafe.SliceData(pieces))), uintptr(len(pieces)), 0, 0, 0)
		}
		if errno != 0 {
			c.refused.Store(c.refused.Load() + frames)
		}
		c.frames.Store(c.frames.Load() + frames)
		c.packets.Store(c.packets.Load() + 1)
		done += frames
		place = next
		r.free(place)
	}
	return false
}
