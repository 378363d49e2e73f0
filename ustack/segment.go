package ustack

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// arrival is a segment of this bunch, or several that were merged.
type arrival struct {
	seg     tcp.Segment
	options wire.TCPOptions
	next    int // index of the connection's next one; -1: none
}

// segment is TCP's side of demultiplexing: it verifies, finds the connection, and
// leaves the segment there, merged with the one before if that continues it.
func (s *shard) segment(f *frame.Frame, ip *wire.IP, now int64) {
	s.counters[inSegs]++
	f.TrimFront(ip.HeaderLen)
	var h wire.TCP
	if fault := wire.ParseTCP(&h, f.Bytes()); fault != wire.OK {
		s.reject(f, fault)
		return
	}
	k := flowKey{local: ip.Dst, remote: ip.Src, localPort: h.DstPort, remotePort: h.SrcPort}
	c := s.last
	if c == nil || c.key != k {
		c = s.flows[k]
	}
	if c != nil && c.rx.folding != nil {
		s.last = c
		if s.leave(c, f, ip, &h) {
			return
		}
	}
	if !verified(f, ip) {
		s.reject(f, wire.TCPChecksum)
		return
	}
	if c == nil {
		s.stranger(f, ip, &h, &k, now)
		return
	}
	s.last = c
	if !s.regain(c) {
		s.queueBehind(c, f, &h)
		return
	}
	f.TrimFront(h.HeaderLen)
	s.gatherPayload(c, f, ip.TOS&wire.ECNMask == wire.CE, &h)
	if s.st.cfg.Techniques.Gather == 1 {
		s.processTouched(now)
	}
}

// gatherPayload adds a segment, whose payload is f, to those of c in this bunch.
func (s *shard) gatherPayload(c *TCPConn, f *frame.Frame, ce bool, h *wire.TCP) {
	f.Seq = h.Seq
	if h.Flags&wire.SYN != 0 {
		f.Seq++
	}
	n, count := f.Len(), 1
	if n > 0 {
		f = s.compact(f)
	}
	if size := int(f.Offload.SegmentSize); f.Offload.Segmentation != frame.SegmentNone && size > 0 {
		count = (n + size - 1) / size
	}
	if c.arrived >= 0 {
		a := &s.arrivals[c.arrivedLast]
		if a.continuedBy(h, n, ce) && (s.st.cfg.Techniques.ACKs == ACKBunch || a.seg.Count+count <= 2) {
			a.seg.Flags |= h.Flags
			a.seg.Window = h.Window
			a.seg.Len += n
			a.seg.Count += count
			a.seg.Data.Push(f)
			s.counters[inMerged]++
			return
		}
	}
	i := len(s.arrivals)
	s.arrivals = append(s.arrivals, arrival{
		seg:     tcp.Segment{Seq: h.Seq, Ack: h.Ack, Flags: h.Flags, Window: h.Window, Len: n, Count: count, CE: ce},
		options: h.Options, next: -1,
	})
	if n > 0 {
		s.arrivals[i].seg.Data.Push(f)
	} else {
		s.pool.Put(f)
	}
	if c.arrived < 0 {
		c.arrived = i
		s.touched = append(s.touched, c)
	} else {
		s.arrivals[c.arrivedLast].next = i
	}
	c.arrivedLast = i
}

// continuedBy reports whether a segment of n bytes says nothing that a longer segment
// would not have said.
func (a *arrival) continuedBy(h *wire.TCP, n int, ce bool) bool {
	const plain = wire.ACK | wire.PSH
	return n > 0 && a.seg.Len > 0 && h.Flags&^wire.PSH == wire.ACK && a.seg.Flags&^plain == 0 &&
		h.Seq == a.seg.Seq+uint32(a.seg.Len) && h.Ack == a.seg.Ack && ce == a.seg.CE &&
		h.Options.Blocks == 0 && a.options.Blocks == 0 &&
		h.Options.Timestamps == a.options.Timestamps && h.Options.TSVal == a.options.TSVal && h.Options.TSEcr == a.options.TSEcr
}

// processTouched gives TCP what the bunch had for each connection.
func (s *shard) processTouched(now int64) {
	for i, c := range s.touched {
		s.touched[i] = nil
		s.arriveAll(c, now)
		s.out.MayWait = s.yields()
		s.finish(c, now)
	}
	s.touched = s.touched[:0]
	clear(s.arrivals)
	s.arrivals = s.arrivals[:0]
	s.last = nil
}

// acknowledgeOwed sends the acknowledgements that have not left with something else since
// the bunch before.
func (s *shard) acknowledgeOwed(now int64) {
	for i, c := range s.owing {
		s.owing[i] = nil
		s.finish(c, now)
	}
	s.owing = s.owing[:0]
}

// arriveAll gives TCP what the bunch had for a connection.
func (s *shard) arriveAll(c *TCPConn, now int64) {
	for j := c.arrived; j >= 0; {
		a := &s.arrivals[j]
		a.seg.Options = &a.options
		s.counters[tcpCalls]++
		c.tcp.Arrive(now, &a.seg, &s.out)
		if s.out.Events&(tcp.Reuse|tcp.ResetSender) != 0 {
			s.special(c, a, now)
		}
		if j = a.next; j >= 0 && s.st.cfg.Techniques.ACKs == ACKSecond && !c.gone {
			c.tcp.Output(now, &s.out) // it acknowledges what has come so far
		}
	}
	c.arrived = -1
	if c.rx.folding != nil {
		s.skim(c, &s.out, now)
	}
}

// special does what a segment asks for that the connection cannot do itself.
func (s *shard) special(c *TCPConn, a *arrival, now int64) {
	events := s.out.Events
	s.out.Events &^= tcp.Reuse | tcp.ResetSender
	if events&tcp.ResetSender != 0 {
		s.resetSender(&c.key, a.seg.Seq, a.seg.Ack, a.seg.Flags, a.seg.Len, now)
		return
	}
	if !c.gone {
		// The last bytes may have come in the same bunch.
		if c.rx.folding != nil {
			s.skim(c, &s.out, now)
		}
		c.deliver(&s.out.Received)
		s.end(c, nil)
		s.openPassive(&c.key, &a.seg, now)
	}
}

// finish lets a connection send, and does all else that came of the calls before.
func (s *shard) finish(c *TCPConn, now int64) {
	if c.gone {
		s.pool.PutList(&s.out.Received)
		s.pool.PutList(&s.out.Dropped)
		s.out.Reset()
		return
	}
	c.takeConsumed(now)
	c.tcp.Output(now, &s.out)
	o := &s.out
	if o.Dropped.Head != nil {
		s.pool.PutList(&o.Dropped)
	}
	for i := range o.Sends {
		s.transmit(c, &o.Sends[i])
	}
	if o.Events&tcp.Connected != 0 {
		s.connected(c)
	}
	if o.Events&tcp.Writable != 0 {
		c.acknowledged(s)
	}
	if o.Received.Head != nil || o.Events&tcp.Readable != 0 {
		s.counters[deliveries]++
		if c.deliver(&o.Received) {
			s.counters[wakeups]++
			s.woke = true
		}
	}
	if o.Events&tcp.AckWaits != 0 {
		s.owing = append(s.owing, c)
	}
	if o.Events&tcp.Ended != 0 {
		s.end(c, endErrors[c.tcp.Err()])
	} else {
		s.schedule(c)
		if c.tcp.State() == tcp.TimeWait && !c.buried {
			c.buried = true
			s.bury(c)
		}
	}
	o.Reset()
}
