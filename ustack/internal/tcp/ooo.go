package tcp

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// outOfOrder keeps bytes that arrived before others: frames in order of sequence,
// which do not overlap.
type outOfOrder struct {
	frames frame.List
	memory int           // bytes of memory of the frames
	recent [3]wire.Block // runs, the one last changed first
	n      uint8
	dup    wire.Block // arrived twice, to be said once (RFC 2883)
	hasDup bool
}

func frameEnd(f *frame.Frame) uint32 { return f.Seq + uint32(f.Len()) }

// insert puts f in its place. What is there already stays, and f loses that part.
func (q *outOfOrder) insert(f *frame.Frame, rnxt uint32, o *Out) {
	if f.Len() == 0 {
		free(f, o)
		return
	}
	start, end := f.Seq, frameEnd(f)
	var prev *frame.Frame
	if t := q.frames.Tail; t != nil && geq(f.Seq, t.Seq) {
		prev = t // nearly always
	} else {
		for p := q.frames.Head; p != nil && leq(p.Seq, f.Seq); p = p.Next {
			prev = p
		}
	}
	if prev != nil {
		if over := int(int32(frameEnd(prev) - f.Seq)); over > 0 {
			q.duplicate(start, minSeq(end, frameEnd(prev)))
			if over >= f.Len() {
				free(f, o)
				q.touch(start, end)
				return
			}
			f.TrimFront(over)
			f.Seq += uint32(over)
		}
	}
	next := q.frames.Head
	if prev != nil {
		next = prev.Next
	}
	for next != nil && lt(next.Seq, end) {
		if gt(frameEnd(next), end) {
			q.duplicate(next.Seq, end)
			f.Truncate(int(next.Seq - f.Seq))
			break
		}
		q.duplicate(next.Seq, frameEnd(next))
		gone := next
		next = next.Next
		q.frames.N--
		q.memory -= gone.Cap()
		if q.frames.Tail == gone {
			q.frames.Tail = prev
		}
		free(gone, o)
	}
	q.link(prev, f, next)
	q.touch(start, end)
}

// link puts f between prev and next.
func (q *outOfOrder) link(prev, f, next *frame.Frame) {
	f.Next = next
	if prev == nil {
		q.frames.Head = f
	} else {
		prev.Next = f
	}
	if next == nil {
		q.frames.Tail = f
	}
	q.frames.N++
	q.memory += f.Cap()
}

// touch joins a range that has arrived to the runs, and makes its run the first.
func (q *outOfOrder) touch(start, end uint32) {
	run := wire.Block{Start: start, End: end}
	kept := q.recent[:0]
	var rest [3]wire.Block
	copy(rest[:], q.recent[:])
	for _, b := range rest[:q.n] {
		if geq(b.End, run.Start) && leq(b.Start, run.End) {
			if lt(b.Start, run.Start) {
				run.Start = b.Start
			}
			if gt(b.End, run.End) {
				run.End = b.End
			}
			continue
		}
		if len(kept) < cap(kept) {
			kept = append(kept, b)
		}
	}
	if len(kept) == len(q.recent) {
		kept = kept[:len(kept)-1]
	}
	q.n = uint8(len(kept)) + 1
	copy(rest[1:], kept)
	rest[0] = run
	q.recent = rest
}

// duplicate notes that a range came twice.
func (q *outOfOrder) duplicate(start, end uint32) {
	q.dup, q.hasDup = wire.Block{Start: start, End: end}, true
}

// blocks puts what has arrived out of order into o: first what came twice, then the
// runs, the newest first (RFC 2018, 4; RFC 2883, 4).
func (q *outOfOrder) blocks(o *wire.TCPOptions, rnxt uint32) {
	if q.n == 0 && !q.hasDup {
		return
	}
	most := uint8(4)
	if o.Timestamps {
		most = 3
	}
	if q.hasDup {
		o.SACK[0], o.Blocks, q.hasDup = q.dup, 1, false
	}
	for _, b := range q.recent[:q.n] {
		if o.Blocks < most && gt(b.End, rnxt) {
			o.SACK[o.Blocks] = b
			o.Blocks++
		}
	}
}

// take delivers the frames that follow seq without a gap, and returns their bytes and
// the sequence number behind them.
func (q *outOfOrder) take(seq uint32, o *Out) (n int, until uint32) {
	for f := q.frames.Head; f != nil && leq(f.Seq, seq); f = q.frames.Head {
		q.frames.Pop()
		q.memory -= f.Cap()
		over := int(int32(seq - f.Seq))
		if over >= f.Len() {
			free(f, o)
			continue
		}
		f.TrimFront(over)
		f.Seq = seq
		n += f.Len()
		seq += uint32(f.Len())
		o.Received.Push(f)
	}
	kept := q.recent[:0]
	for _, b := range q.recent[:q.n] {
		if gt(b.Start, seq) {
			kept = append(kept, b)
		}
	}
	q.n = uint8(len(kept))
	return n, seq
}

// dropLast drops the last frame.
func (q *outOfOrder) dropLast(o *Out) {
	last := q.frames.Tail
	var prev *frame.Frame
	for p := q.frames.Head; p != last; p = p.Next {
		prev = p
	}
	if prev == nil {
		q.frames = frame.List{}
	} else {
		prev.Next, q.frames.Tail = nil, prev
		q.frames.N--
	}
	q.memory -= last.Cap()
	start := last.Seq
	free(last, o)
	kept := q.recent[:0]
	for _, b := range q.recent[:q.n] {
		if gt(b.End, start) {
			b.End = start
		}
		if lt(b.Start, b.End) {
			kept = append(kept, b)
		}
	}
	q.n = uint8(len(kept))
}
