package tcp

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// path is a network between two Conns in virtual time.
type path struct {
	loss, duplicate, reorder float64 // shares of segments
	delay                    int64   // one way, nanoseconds
	rate                     int64   // bytes per second; 0: no limit
	queue                    int64   // bytes that wait for the rate before segments are dropped

	// mtu returns the longest payload with TCP options that passes at a time; nil: any.
	// A router that is not silent tells the sender of those that do not.
	mtu    func(now int64) int
	silent bool
	// drop takes segments away by what they are; nil: none. from is who sends, 0 or 1.
	drop func(s *sim, from int, x *Send) bool
	// shut returns whether the receiver, peer 1, has closed its window and thrown away
	// what comes, as one short of memory does; nil: never.
	shut func(now int64) bool
	mark bool // ECN-capable segments are marked when the queue is half full
	// moderate lets segments arrive at multiples of so many nanoseconds, as interrupts
	// are moderated; gather lets those that arrive together be one bunch, else each is
	// one. With moderate 0 it is decided by chance.
	moderate int64
	gather   bool
	tick     int64 // of the ends' clocks, nanoseconds; 0: exact
}

// flight is a segment on its way.
type flight struct {
	at  int64
	n   int // keeps the order of those that arrive together
	to  int
	seg Send
	ce  bool
}

type flights []flight

func (f flights) Len() int { return len(f) }
func (f flights) Less(i, j int) bool {
	return f[i].at < f[j].at || f[i].at == f[j].at && f[i].n < f[j].n
}
func (f flights) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)   { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any     { x := (*f)[len(*f)-1]; *f = (*f)[:len(*f)-1]; return x }

// peer is one end of a simulation: a Conn and an application that writes total bytes
// of a known pattern, reads what comes at once or in steps, and closes.
type peer struct {
	c        *Conn
	cfg      Config
	total    int // bytes to write
	written  int
	read     int
	backlog  int // received and not read
	readStep int // bytes read in one go; 0: all at once
	readWait int64
	readAt   int64
	busy     int64 // when the link towards the other is free
	ended    bool
}

type sim struct {
	tb   testing.TB
	r    *rand.Rand
	path path
	now  int64
	p    [2]peer
	air  flights
	n    int
	lost int // segments taken by path.loss
	out  Out

	progress, silence int64 // when peer 1 last got bytes; the longest time without
}

// period is after how many bytes a stream repeats: a prime, so that no two of its
// segments are alike.
const period = 1_048_583

var streamBytes = func() []byte {
	b := make([]byte, period+1<<16)
	r := rand.NewPCG(1, 2)
	for i := range period {
		b[i] = byte(r.Uint64())
	}
	copy(b[period:], b)
	return b
}()

// pattern is n bytes of a stream from i on, at most 64 KiB, that must not be changed.
func pattern(i, n int) []byte { return streamBytes[i%period:][:n:n] }

func newSim(tb testing.TB, seed uint64, p path, a, b Config, total [2]int) *sim {
	s := &sim{tb: tb, r: rand.New(rand.NewPCG(seed, 1)), path: p, now: begin}
	a.ISN, b.ISN = s.r.Uint32(), s.r.Uint32()
	s.p[0], s.p[1] = peer{cfg: a, total: total[0]}, peer{cfg: b, total: total[1]}
	s.p[0].c = Connect(a, s.now)
	s.output(0)
	return s
}

// sndBuf is how many bytes an application may have written and not acknowledged.
const sndBuf = 1 << 20

// output lets the application of peer i act, and sends.
func (s *sim) output(i int) {
	p := &s.p[i]
	if p.c == nil || p.ended {
		s.out.Reset()
		return
	}
	if p.backlog > 0 && s.now >= p.readAt {
		n := p.backlog
		if p.readStep > 0 {
			n, p.readAt = min(n, p.readStep), s.now+p.readWait
		}
		p.backlog -= n
		p.c.Consume(s.clock(), n)
	}
	if p.c.State() >= Established {
		if n := min(p.total-p.written, sndBuf-int(p.c.Written()-p.c.Acked())); n > 0 {
			p.c.Write(n)
			p.written += n
		}
		if p.written == p.total && !p.c.finQueued {
			p.c.CloseWrite()
		}
	}
	p.c.Output(s.clock(), &s.out)
	for _, x := range s.out.Sends {
		s.cut(i, x)
	}
	if s.out.Events&Ended != 0 {
		p.ended = true
		if p.c.Err() != NoError {
			s.tb.Fatalf("%.3f s: peer %d ended with error %d", s.seconds(), i, p.c.Err())
		}
	}
	s.check(p)
	s.out.Reset()
}

// clock is the time as the ends know it.
func (s *sim) clock() int64 {
	if s.path.tick > 0 {
		return s.now - s.now%s.path.tick
	}
	return s.now
}

func (s *sim) seconds() float64 { return float64(s.now-begin) / second }

// check holds what must always be true.
func (s *sim) check(p *peer) {
	for f := s.out.Received.Head; f != nil; f = f.Next {
		if other := s.other(p); p.read+f.Len() > other.total || !bytes.Equal(f.Bytes(), pattern(p.read, f.Len())) {
			s.tb.Fatalf("%.3f s: bytes %d to %d of %d are wrong", s.seconds(), p.read, p.read+f.Len(), other.total)
		}
		p.read += f.Len()
		p.backlog += f.Len()
		if p == &s.p[1] {
			if s.progress != 0 {
				s.silence = max(s.silence, s.now-s.progress)
			}
			s.progress = s.now
		}
	}
	if most := 2*p.c.limit + pruneSlack + 4096; p.c.ooo.memory > most {
		s.tb.Fatalf("%d bytes out of order", p.c.ooo.memory)
	}
	r := &p.c.recs
	var pipe, sacked, lost int
	for i := range r.n() {
		switch rec := r.at(i); {
		case rec.sacked:
			sacked += rec.len()
		case rec.lost:
			lost += rec.len()
		default:
			pipe += rec.len()
		}
	}
	if pipe != r.pipe || sacked != r.sacked || lost != r.lost {
		s.tb.Fatalf("%.3f s: sums pipe %d sacked %d lost %d, are %d %d %d", s.seconds(), r.pipe, r.sacked, r.lost, pipe, sacked, lost)
	}
}

func (s *sim) other(p *peer) *peer {
	if p == &s.p[0] {
		return &s.p[1]
	}
	return &s.p[0]
}

// cut cuts a run to segments and puts them on the path.
func (s *sim) cut(from int, x Send) {
	for {
		seg := x
		if x.Len > x.MSS {
			seg.Len = x.MSS
			seg.Flags &^= wire.FIN | wire.PSH
		}
		s.launch(from, seg)
		if x.Len <= x.MSS {
			return
		}
		x.Seq += uint32(x.MSS)
		x.Len -= x.MSS
		x.Flags &^= wire.CWR
	}
}

func (s *sim) launch(from int, x Send) {
	if s.path.mtu != nil && x.Len > 0 && x.Len+x.Options.Len() > s.path.mtu(s.now-begin) {
		if !s.path.silent {
			s.p[from].c.PathMTU(s.clock(), x.Seq, s.path.mtu(s.now-begin))
		}
		return
	}
	if s.path.drop != nil && s.path.drop(s, from, &x) {
		return
	}
	if s.path.shut != nil && s.path.shut(s.now-begin) {
		if from == 0 && x.Len > 0 {
			return
		}
		x.Window = 0
	}
	if s.r.Float64() < s.path.loss {
		s.lost++
		return
	}
	at, ce := s.now, false
	if s.path.rate > 0 {
		p := &s.p[from]
		p.busy = max(p.busy, s.now)
		if (p.busy-s.now)*s.path.rate/second > s.path.queue {
			return
		}
		if x.ECT && s.path.mark && (p.busy-s.now)*s.path.rate/second > s.path.queue/2 {
			ce = true
		}
		p.busy += int64(x.Len+52) * second / s.path.rate
		at = p.busy
	}
	at += s.path.delay
	if s.r.Float64() < s.path.reorder {
		at += s.r.Int64N(s.path.delay + millisecond)
	}
	if m := s.path.moderate; m > 0 {
		at = (at + m - 1) / m * m
	}
	copies := 1
	if s.r.Float64() < s.path.duplicate {
		copies = 2
	}
	for range copies {
		s.n++
		heap.Push(&s.air, flight{at, s.n, 1 - from, x, ce})
	}
}

// arrive hands a segment to its receiver.
func (s *sim) arrive(f flight) {
	to, from := &s.p[f.to], &s.p[1-f.to]
	x := f.seg
	if to.ended {
		return
	}
	seg := Segment{Seq: x.Seq, Ack: x.Ack, Flags: x.Flags, Window: x.Window, Len: x.Len, Count: 1, CE: f.ce, Options: &x.Options}
	if x.Len > 0 {
		fr := frame.Of(pattern(int(x.Seq-from.cfg.ISN-1), x.Len))
		fr.Seq = x.Seq
		seg.Data.Push(fr)
	}
	if to.c == nil {
		if x.Flags&(wire.SYN|wire.ACK|wire.RST) != wire.SYN {
			return
		}
		to.c = Accept(to.cfg, s.clock(), &seg)
	} else {
		to.c.Arrive(s.clock(), &seg, &s.out)
	}
	if len(s.air) > 0 && s.air[0].at == s.now && s.air[0].to == f.to && s.bunched() {
		s.check(to)
		s.out.Received, s.out.Dropped = frame.List{}, frame.List{}
		return
	}
	s.output(f.to)
}

// bunched reports whether a segment that arrives together with another is of its bunch.
func (s *sim) bunched() bool {
	if s.path.moderate > 0 {
		return s.path.gather
	}
	return s.r.IntN(2) == 0
}

// run goes on until both ends are done, and returns the time it took in nanoseconds.
func (s *sim) run(limit int64) int64 {
	steps := 0
	for {
		if s.done() {
			return s.now - begin
		}
		if steps++; steps > 5_000_000 {
			s.tb.Fatalf("%.3f s: no end of steps: %s", s.seconds(), s.state())
		}
		next, who := s.next()
		if who == -1 {
			s.tb.Fatalf("%.3f s: nothing will ever happen: %s", s.seconds(), s.state())
		}
		if next-begin > limit {
			s.tb.Fatalf("not done after %d s: %s", limit/second, s.state())
		}
		s.now = max(s.now, next)
		if who == 2 {
			s.arrive(heap.Pop(&s.air).(flight))
			continue
		}
		s.p[who].c.Timer(s.clock(), &s.out)
		s.output(who)
	}
}

// next returns the time of the next thing to happen and whose timer it is; 2: a
// segment arrives.
func (s *sim) next() (at int64, who int) {
	who = -1
	if len(s.air) > 0 {
		at, who = s.air[0].at, 2
	}
	for i := range s.p {
		p := &s.p[i]
		if p.c == nil || p.ended {
			continue
		}
		if d := p.c.Deadline(); d != 0 && (who == -1 || s.due(d) < at) {
			at, who = s.due(d), i
		}
		if p.backlog > 0 && (who == -1 || p.readAt < at) {
			at, who = p.readAt, i
		}
	}
	return at, who
}

// due is when an end whose clock ticks notices that a time has come.
func (s *sim) due(d int64) int64 {
	if t := s.path.tick; t > 0 {
		return (d + t - 1) / t * t
	}
	return d
}

// done reports whether both have all, and at least one waits only for TIME-WAIT.
func (s *sim) done() bool {
	for i := range s.p {
		p := &s.p[i]
		if p.c == nil || p.read < s.p[1-i].total || !p.ended && p.c.State() != TimeWait {
			return false
		}
	}
	return true
}

func (s *sim) state() string {
	t := ""
	for i := range s.p {
		if c := s.p[i].c; c != nil {
			t += fmt.Sprintf("\npeer %d: %v read %d of %d, una %d nxt %d end %d, window %d cwnd %d pipe %d lost %d phase %d rto %d ms, edge %d unread %d ooo %d timer %d %+v",
				i, c.state, s.p[i].read, s.p[1-i].total, c.una-c.iss, c.nxt-c.iss, c.end-c.iss, c.wnd, c.cc.cwnd, c.pipe(), c.recs.lost, c.loss.phase,
				c.rtt.rto/millisecond, int32(c.edge-c.rnxt), c.unread, c.ooo.frames.N, c.timers.kind, c.Stats)
		}
	}
	return t
}
