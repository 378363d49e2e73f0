package tcp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// FuzzSequences lets two honest ends talk over a network that the fuzzer rules: it loses,
// repeats and delays segments, turns bits of what it pleases, and adds segments of its
// own, as one can who sees none of the honest ones. Every byte must come once, in order
// and as it was sent; memory is bounded; and once the attack is over, which it is after
// its bytes, both ends must end, with no timer left.
//
// The attacker guesses: it does not hit the one sequence number in 2^32 that resets a
// connection, nor timestamps and window at once.
func FuzzSequences(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, byte(0))
	f.Add([]byte{3, 3, 3, 3, 9, 9, 9, 9, 5, 1, 200, 7, 7, 4, 250, 3}, byte(1))
	f.Add(bytes.Repeat([]byte{5, 5, 1, 0, 6, 77, 2}, 40), byte(2))
	f.Add(bytes.Repeat([]byte{4, 16, 128, 3, 9, 0}, 60), byte(3))
	f.Fuzz(sequence)
}

func sequence(t *testing.T, b []byte, kind byte) {
	if len(b) > 2000 {
		return
	}
	cfg := sized(kinds[int(kind)%len(kinds)].cfg)
	cfg.ReceiveMin, cfg.ReceiveMax = 20_000, 100_000
	take := func() byte {
		if len(b) == 0 {
			return 0
		}
		x := b[0]
		b = b[1:]
		return x
	}
	p := path{delay: 3 * millisecond, rate: 5_000_000, queue: 60_000}
	p.drop = func(s *sim, from int, x *Send) bool {
		switch take() % 8 {
		case 1:
			return len(b) > 0 // not for ever
		case 2:
			s.later(from, *x, int64(take())*millisecond/4)
		case 3:
			s.later(from, *x, int64(take())*millisecond/4)
			return true
		case 4, 5:
			s.forge(from, take)
		}
		return false
	}
	s := newSim(t, 1, p, cfg, cfg, [2]int{60_000, 20_000})
	s.run(3600 * second)
	for i := range s.p {
		if c := s.p[i].c; c.state == Closed && c.Deadline() != 0 || c.state == TimeWait && c.ooo.frames.N != 0 {
			t.Fatalf("peer %d has ended, and goes on: %s", i, s.state())
		}
	}
}

// later lets a segment arrive after a time.
func (s *sim) later(from int, x Send, after int64) {
	s.n++
	s.air = append(s.air, flight{s.now + s.path.delay + after, s.n, 1 - from, x, false})
	for i := len(s.air) - 1; i > 0 && s.air.Less(i, (i-1)/2); i = (i - 1) / 2 {
		s.air.Swap(i, (i-1)/2)
	}
}

// forge hands the peer of from a segment that a blind attacker has made.
func (s *sim) forge(from int, take func() byte) {
	to := &s.p[1-from]
	if to.c == nil || to.ended || to.c.state == SynSent || to.c.state == TimeWait {
		return
	}
	var word [8]byte
	for i := range word {
		word[i] = take()
	}
	seq, ack := binary.BigEndian.Uint32(word[:]), binary.BigEndian.Uint32(word[4:])
	flags := take()
	if seq-to.c.rnxt+1<<20 < 1<<21 { // a guess that hits is not a blind one
		seq += 1 << 24
	}
	x := Segment{Seq: seq, Ack: ack, Flags: flags, Window: uint16(seq), Len: int(take()) * 4, Count: 1, Options: &wire.TCPOptions{WindowScale: -1}}
	if x.Len > 0 {
		f := frame.Of(bytes.Repeat([]byte{0xee}, x.Len))
		f.Seq = x.Seq
		x.Data.Push(f)
	}
	var o Out
	to.c.Arrive(s.now, &x, &o)
	if o.Received.Head != nil || o.Events&^ResetSender != 0 {
		s.tb.Fatalf("a blind segment %+v had an effect: events %b", x, o.Events)
	}
}
