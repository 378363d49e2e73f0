package tcp

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// payload takes in the bytes and the FIN of an acceptable segment (RFC 9293,
// 3.10.7.4, seventh and eighth).
func (c *Conn) payload(now int64, s *Segment, o *Out) {
	switch c.state {
	case Established, FinWait1, FinWait2:
	default:
		c.ackNow = true
		return
	}
	if c.orphan && s.Len > 0 && gt(s.Seq+uint32(s.Len), c.rnxt) {
		c.reset(now, o, ErrUnread)
		return
	}
	c.trim(s, o)
	if s.Flags&wire.FIN != 0 && !c.finSeen {
		c.finSeen, c.finAt = true, s.Seq+uint32(s.Len)
	}
	switch {
	case s.Len == 0:
	case c.rcvClosed:
		c.discard(s, o)
	case s.Seq == c.rnxt:
		c.deliver(now, s, o)
		c.fillGap(o)
	default:
		c.queue(s, o)
	}
	if c.finSeen && c.rnxt == c.finAt {
		c.rnxt++
		if c.edge == c.finAt {
			c.edge++
		}
		if c.state == Established {
			c.ackSoon = true // we may close too
		} else {
			c.ackNow = true
		}
		c.arrivedFIN(now, o)
	}
}

// arrivedFIN moves the state along once all of the peer's bytes are here.
func (c *Conn) arrivedFIN(now int64, o *Out) {
	o.Events |= Readable
	switch c.state {
	case Established:
		c.state = CloseWait
	case FinWait1:
		c.state = Closing
		c.acknowledgedFIN(now, o)
	case FinWait2:
		c.enterTimeWait(now, o)
	}
}

func (c *Conn) enterTimeWait(now int64, o *Out) {
	c.state = TimeWait
	c.timers = timers{life: now + timeWait}
	o.Dropped.Join(&c.ooo.frames)
}

// trim cuts off what is outside of the window.
func (c *Conn) trim(s *Segment, o *Out) {
	if cut := int(int32(c.rnxt - s.Seq)); cut > 0 && s.Len > 0 {
		if c.sack {
			c.ooo.duplicate(s.Seq, minSeq(s.Seq+uint32(s.Len), c.rnxt))
			c.Stats.DSACKsOut++
		}
		c.ackNow = true
		cut = min(cut, s.Len)
		s.Seq += uint32(cut)
		s.Len -= cut
		for cut > 0 {
			f := s.Data.Head
			if f.Len() > cut {
				f.TrimFront(cut)
				f.Seq += uint32(cut)
				break
			}
			cut -= f.Len()
			free(s.Data.Pop(), o)
		}
	}
	over := int(int32(s.Seq + uint32(s.Len) - c.edge))
	if over <= 0 {
		return
	}
	s.Flags &^= wire.FIN
	c.ackNow = true
	keep := max(s.Len-over, 0)
	s.Len = keep
	var kept frame.List
	for f := s.Data.Pop(); f != nil; f = s.Data.Pop() {
		if keep == 0 {
			free(f, o)
			continue
		}
		f.Truncate(min(f.Len(), keep))
		keep -= f.Len()
		kept.Push(f)
	}
	s.Data = kept
}

// discard acknowledges bytes that nobody will read.
func (c *Conn) discard(s *Segment, o *Out) {
	if s.Seq == c.rnxt {
		c.rnxt += uint32(s.Len)
		if gt(c.rnxt, c.edge) {
			c.edge = c.rnxt
		}
	}
	c.ackNow = true
	drop(s, o)
}

// queue keeps a segment that is not the next (RFC 5681, 4.2: acknowledged at once).
func (c *Conn) queue(s *Segment, o *Out) {
	c.Stats.OutOfOrder += uint64(s.Count)
	c.ackNow = true
	if !c.sack {
		c.dupAcks = uint8(min(int(c.dupAcks)+max(s.Count, 1), 64))
	}
	for f := s.Data.Pop(); f != nil; f = s.Data.Pop() {
		c.ooo.insert(f, c.rnxt, o)
	}
	c.prune(o)
}

// prune bounds what a peer can make us keep with small or far segments: the memory
// of frames out of order is at most twice the receive buffer. The last go first, as
// their loss is repaired last.
func (c *Conn) prune(o *Out) {
	for c.ooo.memory > 2*c.limit+pruneSlack {
		c.ooo.dropLast(o)
		c.Stats.Pruned++
	}
}

// pruneSlack lets a buffer that is small keep some frames anyway.
const pruneSlack = 128 << 10

// fillGap delivers what follows without a gap now.
func (c *Conn) fillGap(o *Out) {
	if c.ooo.frames.N == 0 {
		return
	}
	n, until := c.ooo.take(c.rnxt, o)
	c.rnxt = until
	c.unread += n
	c.Stats.BytesIn += uint64(n)
	c.unacked += n
	c.ackNow = true // RFC 5681, 4.2
}
