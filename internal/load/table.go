package load

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/hist"
)

// Table is the counts of all flows of one host and the latency histograms of its
// threads, in memory (a memfd) that the workers share with the process that samples
// them. Each slot and each histogram has one writer.
type Table struct {
	file  *os.File
	mem   []byte
	slots []Slot
	hists []*hist.Hist
}

// Tally is what one end of a flow carried since it began. Plain stores: a tally
// has one writer, aligned 64-bit stores are single-copy atomic on amd64 and arm64, and the
// reader is another process. sync/atomic's store is a locked exchange on amd64,
// which empties the store buffer twice a message for nothing.
type Tally struct {
	Received         uint64 `json:"received_bytes"`    // payload
	ReceivedMessages uint64 `json:"received_messages"` // calls that returned payload
	Sent             uint64 `json:"sent_bytes"`
	SentMessages     uint64 `json:"sent_messages"` // calls that took payload
	Transactions     uint64 `json:"transactions"`  // ended
	Datagrams        uint64 `json:"datagrams"`     // received
	Lost             uint64 `json:"lost"`          // datagrams that never came, by their numbers; rr: requests given up
	Reordered        uint64 `json:"reordered"`     // datagrams that came after a later one
	// Jitter is the smoothed difference of transit times of datagrams (RFC 3550, 6.4.1),
	// nanoseconds; unlike the others it is no sum. Datagrams of one send call count once.
	Jitter uint64 `json:"jitter_nanoseconds"`
}

// Slot is one flow's counts. It fills whole pairs of cache lines, so that
// neighbours and the adjacent-line prefetcher do not make flows share one.
type Slot struct {
	Tally
	state uint32 // a State
	errno uint32 // why it ended, 0: as asked
	tid   uint32 // thread of the hot loop
	stop  uint32 // set by the sampler: end after the message in hand
	began int64  // first turn, CLOCK_MONOTONIC nanoseconds
	_     [256 - 9*8 - 4*4 - 8]byte
}

const (
	slotBytes = int(unsafe.Sizeof(Slot{}))
	histBytes = hist.Buckets * 8
)

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

// NewTable makes room for some flows and histograms.
func NewTable(flows, hists int) (*Table, error) {
	fd, err := unix.MemfdCreate("stackmeter-counts", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create for the counts: %w", err)
	}
	f := os.NewFile(uintptr(fd), "stackmeter-counts")
	if err := f.Truncate(int64(flows*slotBytes + hists*histBytes)); err != nil {
		f.Close()
		return nil, fmt.Errorf("size the counts: %w", err)
	}
	return mapTable(f, flows, hists)
}

// mapTable takes ownership of f.
func mapTable(f *os.File, flows, hists int) (*Table, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, flows*slotBytes+hists*histBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("map the counts: %w", err)
	}
	t := &Table{file: f, mem: mem, slots: unsafe.Slice((*Slot)(unsafe.Pointer(&mem[0])), flows)}
	for i := range hists {
		at := flows*slotBytes + i*histBytes
		t.hists = append(t.hists, (*hist.Hist)(unsafe.Pointer(&mem[at])))
	}
	return t, nil
}

// Close unmaps the table; slots and histograms must not be used after it.
func (t *Table) Close() error {
	err := unix.Munmap(t.mem)
	t.mem, t.slots, t.hists = nil, nil, nil
	if cerr := t.file.Close(); err == nil {
		err = cerr
	}
	return err
}

// Len is the number of flows.
func (t *Table) Len() int { return len(t.slots) }

// Slot returns the counts of the i-th flow of the spec.
func (t *Table) Slot(i int) *Slot { return &t.slots[i] }

// Latency adds the histograms of all threads up into h, which is cleared first.
func (t *Table) Latency(h *hist.Hist) {
	*h = hist.Hist{}
	for _, part := range t.hists {
		h.Merge(part)
	}
}

// Read returns the counts so far.
func (s *Slot) Read() Tally {
	return Tally{
		Received: atomic.LoadUint64(&s.Received), ReceivedMessages: atomic.LoadUint64(&s.ReceivedMessages),
		Sent: atomic.LoadUint64(&s.Sent), SentMessages: atomic.LoadUint64(&s.SentMessages),
		Transactions: atomic.LoadUint64(&s.Transactions), Datagrams: atomic.LoadUint64(&s.Datagrams),
		Lost: atomic.LoadUint64(&s.Lost), Reordered: atomic.LoadUint64(&s.Reordered), Jitter: atomic.LoadUint64(&s.Jitter),
	}
}

// Add adds b's sums to a's, and keeps the larger jitter.
func (a *Tally) Add(b Tally) {
	a.Received += b.Received
	a.ReceivedMessages += b.ReceivedMessages
	a.Sent += b.Sent
	a.SentMessages += b.SentMessages
	a.Transactions += b.Transactions
	a.Datagrams += b.Datagrams
	a.Lost += b.Lost
	a.Reordered += b.Reordered
	a.Jitter = max(a.Jitter, b.Jitter)
}

// Since is what was carried between an earlier reading and a.
func (a Tally) Since(b Tally) Tally {
	return Tally{
		Received: a.Received - b.Received, ReceivedMessages: a.ReceivedMessages - b.ReceivedMessages,
		Sent: a.Sent - b.Sent, SentMessages: a.SentMessages - b.SentMessages,
		Transactions: a.Transactions - b.Transactions, Datagrams: a.Datagrams - b.Datagrams,
		// A late datagram takes one from the lost.
		Lost: a.Lost - min(a.Lost, b.Lost), Reordered: a.Reordered - b.Reordered, Jitter: a.Jitter,
	}
}

// Bytes is the payload carried either way.
func (a Tally) Bytes() uint64 { return a.Received + a.Sent }

// State returns the state and, once ended, the error number (0: as asked).
func (s *Slot) State() (State, unix.Errno) {
	return State(atomic.LoadUint32(&s.state)), unix.Errno(atomic.LoadUint32(&s.errno))
}

// TID is the thread of the flow's hot loop, 0 before it began.
func (s *Slot) TID() int { return int(atomic.LoadUint32(&s.tid)) }

// Began is when the flow's first turn began, CLOCK_MONOTONIC nanoseconds.
func (s *Slot) Began() int64 { return atomic.LoadInt64(&s.began) }

// Stop asks the flow to end after the message in hand.
func (s *Slot) Stop() { atomic.StoreUint32(&s.stop, 1) }

// Stopped reports whether Stop was called.
func (s *Slot) Stopped() bool { return atomic.LoadUint32(&s.stop) != 0 }

func (s *Slot) setState(v State) { atomic.StoreUint32(&s.state, uint32(v)) }
func (s *Slot) setTID(v int)     { atomic.StoreUint32(&s.tid, uint32(v)) }
func (s *Slot) setBegan(v int64) { atomic.StoreInt64(&s.began, v) }

func (s *Slot) end(e unix.Errno) {
	atomic.StoreUint32(&s.errno, uint32(e))
	s.setState(Ended)
}
