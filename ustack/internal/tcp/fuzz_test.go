package tcp

import (
	"encoding/binary"
	"testing"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// FuzzSegments plays segments, calls and pauses out of the fuzzer's bytes to a Conn.
// Whatever comes: the sums hold, memory is bounded, no byte is delivered twice or
// before its turn, and timers make progress.
func FuzzSegments(f *testing.F) {
	f.Add([]byte{0, 0}, false)
	f.Add([]byte{1, 16, 0, 0, 0, 1, 10, 0, 2, 50, 3, 7, 4, 4, 5, 6, 7}, true)
	f.Add([]byte{1, 17, 0, 5, 0, 0, 200, 9, 1, 16, 0, 0, 0, 0, 100, 9, 3, 250, 2, 200, 1, 16, 0, 0, 0, 200, 0, 1}, true)
	f.Fuzz(func(t *testing.T, b []byte, passive bool) {
		cfg := sized(Config{NoTimestamp: len(b)%2 == 0, KeepIdle: second, KeepInterval: second, KeepCount: 3})
		cfg.ReceiveMin, cfg.ReceiveMax = 8000, 64000
		p := &fuzzed{t: t, now: begin}
		syn := Segment{Flags: wire.SYN, Window: 3000, Options: &wire.TCPOptions{WindowScale: 2, MSS: 500, SACKPermitted: true, Timestamps: true}}
		if passive {
			p.c = Accept(cfg, p.now, &syn)
		} else {
			p.c = Connect(cfg, p.now)
			p.flush()
			syn.Flags, syn.Ack = wire.SYN|wire.ACK, 1
			p.c.Arrive(p.now, &syn, &p.out)
		}
		p.flush()
		p.next = p.c.rnxt
		for len(b) >= 2 && p.c.state != Closed {
			b = p.play(b)
			p.flush()
		}
	})
}

type fuzzed struct {
	t      *testing.T
	c      *Conn
	now    int64
	out    Out
	next   uint32 // the byte that must be delivered next
	unread int
}

func (p *fuzzed) play(b []byte) []byte {
	op, arg := b[0], b[1]
	b = b[2:]
	switch op % 8 {
	case 0, 1:
		if len(b) < 6 {
			return nil
		}
		p.segment(arg, b[:6])
		return b[6:]
	case 2:
		if !p.c.finQueued {
			p.c.Write(int(arg) * 50)
		}
	case 3:
		p.pass(int64(arg) * int64(arg) * millisecond)
	case 4:
		n := min(p.unread, int(arg)*20)
		p.unread -= n
		p.c.Consume(p.now, n)
	case 5:
		p.c.CloseWrite()
	case 6:
		p.c.PathMTU(p.now, p.c.una, int(arg)*8)
	case 7:
		if arg > 250 {
			p.c.Close(p.now, &p.out)
		}
	}
	return b
}

// segment makes a segment near the windows.
func (p *fuzzed) segment(flags byte, b []byte) {
	c := p.c
	s := Segment{
		Seq: c.rnxt + uint32(int16(binary.BigEndian.Uint16(b)))/4, Ack: c.una + uint32(b[2])*40, Flags: flags,
		Window: uint16(b[3]) * 20, Len: int(b[4]) * 6, Count: 1, CE: b[5]&1 != 0,
		Options: &wire.TCPOptions{WindowScale: -1, Timestamps: c.timestamps, TSVal: uint32(b[5] / 8), TSEcr: c.stamp(p.now) - uint32(b[5]%8)},
	}
	if b[5]&2 != 0 {
		s.Options.Blocks = 2
		s.Options.SACK[0] = wire.Block{Start: s.Ack + uint32(b[5])*30, End: s.Ack + uint32(b[5])*30 + 700}
		s.Options.SACK[1] = wire.Block{Start: s.Ack + 100, End: s.Ack + 300}
	}
	if s.Len > 0 {
		f := frame.Of(make([]byte, s.Len))
		f.Seq = s.Seq
		s.Data.Push(f)
	}
	c.Arrive(p.now, &s, &p.out)
}

func (p *fuzzed) pass(d int64) {
	until := p.now + d
	for range 1000 {
		at := p.c.Deadline()
		if at == 0 || at > until {
			p.now = until
			return
		}
		p.now = max(p.now, at)
		p.c.Timer(p.now, &p.out)
		p.flush()
	}
	p.t.Fatalf("timers make no progress: %+v", p.c.timers)
}

func (p *fuzzed) flush() {
	c := p.c
	c.Output(p.now, &p.out)
	for f := p.out.Received.Head; f != nil; f = f.Next {
		if f.Seq != p.next {
			p.t.Fatalf("delivered %d, expected %d", f.Seq, p.next)
		}
		p.next += uint32(f.Len())
		p.unread += f.Len()
	}
	if len(p.out.Sends) > 3000 {
		p.t.Fatalf("%d segments at once", len(p.out.Sends))
	}
	p.out.Reset()
	if c.state != Closed && (lt(c.nxt, c.una) || c.recs.n() > 0 && c.recs.at(0).seq != c.una || c.recs.pipe < 0 || c.recs.lost < 0 || c.recs.sacked < 0) {
		p.t.Fatalf("una %d nxt %d %+v", c.una, c.nxt, c.recs)
	}
	if c.ooo.memory > 2*c.limit+pruneSlack+4096 {
		p.t.Fatalf("%d bytes out of order", c.ooo.memory)
	}
	if c.unread != p.unread && c.state != Closed {
		p.t.Fatalf("unread %d, is %d", c.unread, p.unread)
	}
	if int32(c.edge-c.rnxt) < 0 && c.state >= Established {
		p.t.Fatalf("window ends at %d, before %d", c.edge, c.rnxt)
	}
}
