package ustack

import (
	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// folding is how a checksum is verified in the same pass as the copy to the reader's
// buffer, in the reader's context: section 2.3 of the paper, and the prequeue that
// Linux had until 4.14.
//
// While a reader waits, segments that are just the next bytes are not looked at by
// TCP: they are left to the reader, who sums while copying and then gives them back
// with what came of it. Only then does TCP see them, in their order; so nothing is
// acknowledged, and no Read returns, before the bytes are verified. All other segments
// of the connection queue up behind.
//
// The fields are guarded by receiveQueue.mu, but for those of the shard and the reader.
type folding struct {
	present bool       // a reader waits or is at it, who will take what is left
	busy    bool       // it has taken segments and not given them back
	left    []unsummed // for the reader to take
	done    []unsummed // given back

	// Of the shard.
	pending bool       // there may be segments in left or done, or with the reader
	next    uint32     // sequence number behind them; valid if pending
	tsval   uint32     // the last one's timestamp; valid if pending
	behind  []unsummed // verified segments that wait for those

	// Of the reader.
	spare []unsummed // memory for the next left
}

// ready reports whether the next bytes are in left. While segments that were given back
// wait for the shard they may not be: some may hold bytes that found no room.
func (o *folding) ready() bool { return len(o.left) > 0 && len(o.done) == 0 }

// unsummed is a segment whose checksum nobody has verified yet.
type unsummed struct {
	f     *frame.Frame // its payload
	h     wire.TCP
	sum   memcopy.Partial // of pseudo header and header
	state sumState
}

type sumState uint8

const (
	unknown sumState = iota
	good
	copied // good, and in the application's buffer
	bad
)

// verify sums the payload in a pass of its own.
func (u *unsummed) verify() {
	if u.state == unknown {
		u.sum.Add(u.f.Bytes())
		u.judge()
	}
}

func (u *unsummed) judge() {
	u.state = bad
	if u.sum.Fold() == 0xffff {
		u.state = good
	}
}

// leave leaves a segment to the reader, if there is one and the segment is just the
// next. f begins with the TCP header.
func (s *shard) leave(c *TCPConn, f *frame.Frame, ip *wire.IP, h *wire.TCP) bool {
	n := f.Len() - h.HeaderLen
	o := c.rx.folding
	if n == 0 || f.Offload.Checksum != frame.ChecksumFull || ip.TOS&wire.ECNMask == wire.CE || c.arrived >= 0 || len(o.behind) > 0 {
		return false
	}
	seq := h.Seq
	if o.pending {
		// TCP must not refuse a segment for what those before it will have told it: one
		// with an earlier timestamp (RFC 7323, 5.3).
		if o.next != seq || int32(h.Options.TSVal-o.tsval) < 0 {
			return false
		}
	} else if seq = c.tcp.Expected(); seq != h.Seq {
		return false
	}
	if !c.tcp.Plain(h.Flags, seq+uint32(n), h.Ack, &h.Options) {
		return false
	}
	u := unsummed{h: *h, sum: wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoTCP, f.Len())}
	u.sum.Add(f.Bytes()[:h.HeaderLen])
	c.rx.mu.Lock()
	if !o.present {
		c.rx.mu.Unlock()
		return false
	}
	f.TrimFront(h.HeaderLen)
	u.f = f
	o.left = append(o.left, u)
	woke := c.rx.waiting
	c.rx.waiting = false
	c.rx.mu.Unlock()
	if woke {
		s.woke = true
		c.rx.wake()
	}
	o.pending, o.next, o.tsval = true, seq+uint32(n), h.Options.TSVal
	s.counters[folded]++
	return true
}

// regain takes segments back from the reader, those it has not touched included, and
// adds them to the bunch. It returns false if the reader is at it: then all has to wait.
func (s *shard) regain(c *TCPConn) bool {
	o := c.rx.folding
	if o == nil || !o.pending {
		return true
	}
	c.rx.mu.Lock()
	if o.busy {
		c.rx.mu.Unlock()
		return false
	}
	list := append(o.done, o.left...)
	clear(o.left)
	o.done, o.left = nil, o.left[:0]
	c.rx.mu.Unlock()
	o.pending = false
	behind := o.behind
	o.behind = nil
	for _, l := range [][]unsummed{list, behind} {
		for i := range l {
			s.gatherUnsummed(c, &l[i])
		}
	}
	clear(list)
	c.rx.mu.Lock()
	if o.done == nil {
		o.done = list[:0]
	}
	c.rx.mu.Unlock()
	return true
}

func (s *shard) gatherUnsummed(c *TCPConn, u *unsummed) {
	u.verify()
	if u.state == bad {
		s.reject(u.f, wire.TCPChecksum)
		return
	}
	u.f.Taken = u.state == copied
	s.gatherPayload(c, u.f, false, &u.h)
}

// queueBehind keeps a verified segment until the reader has given back what is before.
// f begins with the TCP header.
func (s *shard) queueBehind(c *TCPConn, f *frame.Frame, h *wire.TCP) {
	const most = 4096
	o := c.rx.folding
	if len(o.behind) >= most {
		s.drop(f, rxBehind)
		return
	}
	f.TrimFront(h.HeaderLen)
	o.behind = append(o.behind, unsummed{f: f, h: *h, state: good})
}

// takeFolded lets TCP see what the reader gave back. It is called between bunches.
func (s *shard) takeFolded(c *TCPConn, now int64) {
	if o := c.rx.folding; o == nil || !o.pending || !s.regain(c) || c.arrived < 0 {
		return
	}
	s.arriveAll(c, now)
	s.touched = s.touched[:len(s.touched)-1]
	clear(s.arrivals)
	s.arrivals = s.arrivals[:0]
}

// dropFolded frees what is left when a connection has ended.
func (s *shard) dropFolded(c *TCPConn) {
	o := c.rx.folding
	if o == nil {
		return
	}
	c.rx.mu.Lock()
	lists := [][]unsummed{o.left, o.done, o.behind}
	o.left, o.done, o.behind = nil, nil, nil
	c.rx.mu.Unlock()
	var l frame.List
	for _, list := range lists {
		for i := range list {
			l.Push(list[i].f)
		}
	}
	frame.Free(l.Head)
	o.pending = false
}

// skim takes from received bytes those that the reader has already, and tells TCP that
// they were read.
func (s *shard) skim(c *TCPConn, o *tcp.Out, now int64) {
	var rest frame.List
	n := 0
	for f := o.Received.Pop(); f != nil; f = o.Received.Pop() {
		if !f.Taken {
			rest.Push(f)
			continue
		}
		f.Taken = false
		n += f.Len()
		s.pool.Put(f)
	}
	o.Received = rest
	if n > 0 {
		c.tcp.Consume(now, n)
	}
}

// foldInto copies segments that were left to the reader to b and sums them in the same
// pass. It returns how many bytes of b are filled and good. c.readMu is held.
func (c *TCPConn) foldInto(b []byte) int {
	o := c.rx.folding
	c.rx.mu.Lock()
	if c.rx.list.Head != nil || !o.ready() {
		c.rx.mu.Unlock()
		return 0 // the shard was at it since: other bytes come first
	}
	work := o.left
	o.left, o.busy = o.spare[:0], true
	c.rx.mu.Unlock()
	n := 0
	for i := range work {
		u := &work[i]
		p := u.f.Bytes()
		if len(p) > len(b)-n {
			break
		}
		c.st.foldUser(&u.sum, b[n:], p)
		if u.judge(); u.state == bad {
			break // what follows is behind a gap
		}
		u.state = copied
		n += len(p)
	}
	c.rx.mu.Lock()
	o.spare = nil
	if o.done != nil {
		o.spare = o.done[:0]
	}
	o.done, o.busy, o.present = work, false, false
	c.rx.mu.Unlock()
	c.post()
	return n
}

// leaveFolding says that nobody is there any more to sum what is left; the shard has
// to. c.readMu is held.
func (c *TCPConn) leaveFolding() {
	o := c.rx.folding
	if o == nil {
		return
	}
	c.rx.mu.Lock()
	o.present = false
	pending := len(o.left) > 0
	c.rx.mu.Unlock()
	if pending {
		c.post()
	}
}
