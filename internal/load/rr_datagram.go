package load

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
)

// asked is what a client of rr over datagrams keeps of its requests under way. Each
// carries a number in its first bytes, which the answer repeats: so answers may come in any
// order, and one that comes after its request was given up, or twice, counts for nothing.
type asked struct {
	width  int // bytes of a number
	cycle  uint64
	slots  []request
	free   []int32 // slots without a request
	slot   int32   // of the request in hand
	oldest int64   // no request under way was sent before
	number uint64  // server: of the request in hand
}

// request is one under way, in one of the burst's slots. Its number is the slot's plus
// a multiple of the burst.
type request struct {
	turn  uint64 // how many the slot had before
	begun int64  // for the latency
	sent  int64  // 0: none is under way
}

// numberWidth is how many bytes there are for the numbers of requests and answers.
func (f *FlowSpec) numberWidth() int { return min(8, f.MessageBytes, f.Response()) }

// numbers is how many different ones there are for each request of a burst.
func (f *FlowSpec) numbers() uint64 {
	burst := uint64(max(1, f.Burst))
	if w := f.numberWidth(); w < 8 {
		return uint64(1) << (8 * w) / burst
	}
	return 1 << 62 / burst
}

// fitsNumbers reports a burst whose requests could not be told apart from late ones.
func (f *FlowSpec) fitsNumbers() error {
	if f.numbers() < 2 {
		return fmt.Errorf("burst: %d over udp, whose answers are told apart by %d bytes: want at most %d, or messages of 2 bytes or more",
			f.Burst, f.numberWidth(), 1<<(8*f.numberWidth())/2)
	}
	return nil
}

func newAsked(f *FlowSpec) asked {
	a := asked{width: f.numberWidth(), cycle: f.numbers(), slots: make([]request, max(1, f.Burst))}
	a.free = make([]int32, len(a.slots))
	for i := range a.free {
		a.free[i] = int32(i)
	}
	return a
}

// stamp writes a number into what is sent.
func (a *asked) stamp(b []byte, number uint64) {
	var all [8]byte
	binary.LittleEndian.PutUint64(all[:], number)
	copy(b, all[:a.width])
}

// read is the number of what was received.
func (a *asked) read(b []byte) uint64 {
	var all [8]byte
	copy(all[:], b[:a.width])
	return binary.LittleEndian.Uint64(all[:])
}

// numberOf is the number of the request in a slot.
func (a *asked) numberOf(slot int32) uint64 {
	return a.slots[slot].turn%a.cycle*uint64(len(a.slots)) + uint64(slot)
}

// begin takes a slot for a request that counts from begun.
func (a *asked) begin(begun, now int64) {
	last := len(a.free) - 1
	if last == len(a.slots)-1 {
		a.oldest = now
	}
	a.slot, a.free = a.free[last], a.free[:last]
	r := &a.slots[a.slot]
	r.turn++
	r.begun, r.sent = begun, now
}

// answer ends the request that b answers and returns when it began. It returns false if
// there is none.
func (a *asked) answer(b []byte) (int64, bool) {
	if len(b) < a.width {
		return 0, false
	}
	number := a.read(b)
	slot := int32(number % uint64(len(a.slots)))
	r := &a.slots[slot]
	if r.sent == 0 || a.numberOf(slot) != number {
		return 0, false
	}
	r.sent = 0
	a.free = append(a.free, slot)
	return r.begun, true
}

// giveUp ends the requests that were sent before some time and returns how many there were.
func (a *asked) giveUp(before int64) (n int) {
	a.oldest = 1<<63 - 1
	for i := range a.slots {
		r := &a.slots[i]
		switch {
		case r.sent == 0:
		case r.sent < before:
			r.sent = 0
			a.free = append(a.free, int32(i))
			n++
		default:
			a.oldest = min(a.oldest, r.sent)
		}
	}
	return n
}

// askDatagrams is rr's client where a request and an answer are a datagram each.
func askDatagrams(f *Flow) (Wait, unix.Errno) {
	now := int64(0) // the time, where it is known
	for {
		for f.flying < f.burst {
			if !f.open {
				if f.Stopped() {
					return 0, 0
				}
				if f.paced() {
					if f.flying == 0 {
						return Due, 0
					}
					break
				}
				if now == 0 {
					now = clock.Now()
				}
				f.asked.begin(f.begin(now), now)
				f.open = true
			}
			f.asked.stamp(f.out, f.asked.numberOf(f.asked.slot)) // other flows of the thread have others
			if errno := f.sendRest(f.request); errno != 0 {
				return Writable, errno
			}
			f.open = false
			f.flying++
		}
		if f.polled && now != 0 {
			return f.wait(), 0 // the answer cannot be there yet
		}
		n, errno := f.Recv(f.in)
		if n <= 0 {
			if errno == unix.EAGAIN && f.late() {
				now = clock.Now()
				lost := f.asked.giveUp(now - patience.Nanoseconds())
				f.Lost += uint64(lost)
				f.flying -= lost
				now = 0
				if lost > 0 {
					continue
				}
			}
			return waitOrEnd(f.wait(), errno)
		}
		now = clock.Now()
		begun, ok := f.asked.answer(f.in[:n])
		if !ok || n != f.response {
			now = 0
			continue
		}
		f.Received += uint64(n)
		f.ReceivedMessages++
		f.Latency.Record(now - begun)
		f.Transactions++
		f.flying--
	}
}

// answerDatagrams is rr's server where a request and an answer are a datagram each.
func answerDatagrams(f *Flow) (Wait, unix.Errno) {
	for {
		if f.open {
			f.asked.stamp(f.out, f.asked.number)
			if errno := f.sendRest(f.response); errno != 0 {
				return Writable, errno
			}
			f.open = false
			f.Transactions++
			if f.polled {
				return f.readable(), 0 // the client waits for this answer first
			}
		}
		n, errno := f.Recv(f.in)
		if n <= 0 {
			if errno == unix.EAGAIN && f.Stopped() {
				return 0, 0
			}
			return waitOrEnd(f.readable(), errno)
		}
		if n != f.request {
			continue
		}
		f.asked.number, f.open = f.asked.read(f.in[:n]), true
		f.Received += uint64(n)
		f.ReceivedMessages++
	}
}
