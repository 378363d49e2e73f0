package load

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Table is the counts of all flows of one host, in memory (a memfd) that the
// workers share with the process that samples them. Each slot has one writer.
type Table struct {
	file  *os.File
	mem   []byte
	slots []Slot
}

// Slot is one flow's counts. It fills two cache lines so that neighbours and
// the adjacent-line prefetcher do not make flows share one.
type Slot struct {
	bytes    uint64 // payload carried since the flow began
	messages uint64 // system calls that carried payload
	state    uint32 // a State
	errno    uint32 // why it ended, 0: as asked
	tid      uint32 // thread of the hot loop
	stop     uint32 // set by the sampler: end after the message in hand
	_        [96]byte
}

const slotBytes = int(unsafe.Sizeof(Slot{}))

// State of a flow.
type State uint32

// A flow goes through these in order.
const (
	Starting State = iota
	Connected
	Loaded // in its hot loop
	Ended
)

func (s State) String() string {
	return [...]string{"starting", "connected", "loaded", "ended"}[min(s, Ended)]
}

// NewTable makes room for n flows.
func NewTable(n int) (*Table, error) {
	fd, err := unix.MemfdCreate("stackmeter-counts", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create for the counts: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stackmeter-counts")
	if err := f.Truncate(int64(n * slotBytes)); err != nil {
		f.Close()
		return nil, fmt.Errorf("size the counts: %w", err)
	}
	return mapTable(f, n)
}

// mapTable takes ownership of f.
func mapTable(f *os.File, n int) (*Table, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, n*slotBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("map the counts: %w", err)
	}
	return &Table{file: f, mem: mem, slots: unsafe.Slice((*Slot)(unsafe.Pointer(&mem[0])), n)}, nil
}

// Close unmaps the table; slots must not be used after it.
func (t *Table) Close() error {
	err := unix.Munmap(t.mem)
	t.mem, t.slots = nil, nil
	if cerr := t.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// Len is the number of flows.
func (t *Table) Len() int { return len(t.slots) }

// Slot returns the counts of the i-th flow of the spec.
func (t *Table) Slot(i int) *Slot { return &t.slots[i] }

// Read returns the payload bytes and messages so far.
func (s *Slot) Read() (bytes, messages uint64) {
	return atomic.LoadUint64(&s.bytes), atomic.LoadUint64(&s.messages)
}

// State returns the state and, once ended, the error number (0: as asked).
func (s *Slot) State() (State, unix.Errno) {
	return State(atomic.LoadUint32(&s.state)), unix.Errno(atomic.LoadUint32(&s.errno))
}

// TID is the thread of the flow's hot loop, 0 before it began.
func (s *Slot) TID() int { return int(atomic.LoadUint32(&s.tid)) }

// Stop asks the flow to end after the message in hand.
func (s *Slot) Stop() { atomic.StoreUint32(&s.stop, 1) }

// Stopped reports whether Stop was called.
func (s *Slot) Stopped() bool { return atomic.LoadUint32(&s.stop) != 0 }

func (s *Slot) setState(v State) { atomic.StoreUint32(&s.state, uint32(v)) }
func (s *Slot) setTID(v int)     { atomic.StoreUint32(&s.tid, uint32(v)) }

func (s *Slot) end(e unix.Errno) {
	atomic.StoreUint32(&s.errno, uint32(e))
	s.setState(Ended)
}

// publish makes the counts visible to the sampler. Plain stores: each slot has
// one writer, aligned 64-bit stores are single-copy atomic on amd64 and arm64,
// and the reader is another process. sync/atomic's store is a locked exchange on
// amd64, which empties the store buffer twice a message for nothing.
func (s *Slot) publish(bytes, messages uint64) {
	s.bytes = bytes
	s.messages = messages
}
