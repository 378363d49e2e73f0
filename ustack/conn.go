package ustack

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// TCPConn is a TCP connection. It is a net.Conn, and has of net.TCPConn what
// applications use of it.
type TCPConn struct {
	st       *Stack
	s        *shard
	key      flowKey
	hop      *neighbour
	listener *Listener  // that it came by, until it was accepted
	dialed   chan error // nil, or takes the outcome of an active open

	// Of the shard.
	tcp                  *tcp.Conn
	timerAt              int64
	timerIndex           int  // in the shard's timers; -1: not there
	arrived, arrivedLast int  // segments of this bunch; -1: none
	opened, gone, buried bool // the handshake was done; not the shard's any more; in TIME-WAIT
	cork                 cork

	// What the application did and the shard has not seen.
	next     *TCPConn // in the shard's mail
	posted   atomic.Bool
	consumed atomic.Int64 // bytes read
	tellAt   atomic.Int64 // bytes read that the shard wants to hear of at once

	closed atomic.Bool
	abrupt atomic.Bool // Close is Abort
	rx     receiveQueue
	snd    sendBuffer

	readMu       sync.Mutex // one reader at a time
	held         frame.List // bytes that the reader has taken and not passed on
	readDeadline deadline

	writeMu       sync.Mutex // one writer at a time
	writeDeadline deadline
}

var _ net.Conn = (*TCPConn)(nil)

// newConn makes a connection that TCP is yet to be given to. The shard is in hand.
func (s *shard) newConn(k flowKey, l *Listener) *TCPConn {
	c := &TCPConn{
		st: s.st, s: s, key: k, listener: l, timerIndex: -1, arrived: -1,
	}
	c.hop = s.st.hop(k.remote)
	if s.st.cfg.Techniques.Checksum == InReader {
		c.rx.folding = &folding{}
	}
	c.rx.ready, c.snd.room = make(chan struct{}, 1), make(chan struct{}, 1)
	return c
}

// adopt makes c one of the shard's connections. Its tcp is set.
func (s *shard) adopt(c *TCPConn) {
	c.snd.base = c.tcp.Written()
	c.snd.most = s.st.cfg.TCP.SendBufferMax
	c.snd.limit = min(sendBufferMin, c.snd.most)
	s.flows[c.key] = c
	if len(s.st.shards) > 1 {
		s.st.flows.Store(c.key, s)
	}
}

// sendBufferMin is what may be written at first, in bytes; it grows with the
// congestion window.
const sendBufferMin = 128 << 10

// end takes c out of the shard. err is what its application is told; nil: the bytes
// have ended.
func (s *shard) end(c *TCPConn, err error) {
	if c.gone {
		return
	}
	c.gone = true
	s.tcpDone.Add(&c.tcp.Stats)
	s.unschedule(c)
	s.dropFolded(c)
	delete(s.flows, c.key)
	if len(s.st.shards) > 1 {
		s.st.flows.Delete(c.key)
	}
	if c.listener != nil && c.listener.forget(c) {
		s.counters[attemptFails]++
	}
	if c.dialed != nil {
		s.counters[attemptFails]++
		c.dialed <- err
		c.dialed = nil
	} else if err != nil {
		s.counters[estabResets]++
	}
	// The writer first: whoever has read how it ended finds that no write passes.
	if err == nil {
		c.snd.end(errPipe)
	} else {
		c.snd.end(err)
	}
	c.rx.end(err)
	s.woke = true
}

// connected tells who waits for it that the handshake is done.
func (s *shard) connected(c *TCPConn) {
	s.woke, c.opened = true, true
	if c.dialed != nil {
		c.dialed <- nil
		c.dialed = nil
		c.snd.notify()
	}
	if c.listener != nil && !c.listener.offer(c) {
		n := len(s.out.Sends)
		c.tcp.Abort(s.st.now(), &s.out)
		for i := n; i < len(s.out.Sends); i++ {
			s.transmit(c, &s.out.Sends[i])
		}
	}
}

// acknowledged gives room to the writer.
func (c *TCPConn) acknowledged(s *shard) {
	cwnd, _, _ := c.tcp.Window()
	limit := max(2*cwnd, sendBufferMin)
	if c.snd.acknowledge(&s.chunks, c.tcp.Acked(), limit) {
		c.snd.wake()
		s.woke = true
	}
}

// post leaves word for the shard that the application has done something, and does the
// shard's work if nobody else is at it.
func (c *TCPConn) post() {
	c.mail()
	c.s.help()
}

// answer is post for a few bytes: where the shard has let those run that it has woken, it
// sends what they have to say in one bunch. A second word before that does not wait.
func (c *TCPConn) answer() {
	if !c.mail() || !c.s.yielding.Load() {
		c.s.help()
	}
}

// mail leaves word for the shard. It returns false if there was some already.
func (c *TCPConn) mail() bool {
	if !c.posted.CompareAndSwap(false, true) {
		return false
	}
	for {
		head := c.s.mail.Load()
		c.next = head
		if c.s.mail.CompareAndSwap(head, c) {
			return true
		}
	}
}

// takeMail does what applications left for the shard.
func (s *shard) takeMail(now int64) {
	for c := s.mail.Swap(nil); c != nil; {
		next := c.next
		c.next = nil
		c.posted.Store(false) // before looking: what comes from now on is posted again
		if c.gone {
			s.dropFolded(c) // the reader may have given something back since
		} else {
			s.takeFolded(c, now)
			c.takeWritten(now, false)
			s.finish(c, now)
		}
		c = next
	}
}

// takeConsumed tells TCP what was read.
func (c *TCPConn) takeConsumed(now int64) {
	if n := c.consumed.Swap(0); n > 0 {
		c.tcp.Consume(now, int(n))
	}
	_, _, limit := c.tcp.Window()
	if at := int64(limit / 8); at != c.tellAt.Load() {
		c.tellAt.Store(at)
	}
}

// deliver gives bytes in order, and their end, to the reader. It reports whether it
// woke one.
func (c *TCPConn) deliver(l *frame.List) bool {
	return c.rx.put(l, c.tcp.ReadEnded())
}

// LocalAddr returns the address of this end, a *net.TCPAddr.
func (c *TCPConn) LocalAddr() net.Addr { return tcpAddr(c.key.local, c.key.localPort) }

// RemoteAddr returns the address of the other end, a *net.TCPAddr.
func (c *TCPConn) RemoteAddr() net.Addr { return tcpAddr(c.key.remote, c.key.remotePort) }

// SetDeadline sets both deadlines.
func (c *TCPConn) SetDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.wrap("set", net.ErrClosed)
	}
	c.readDeadline.at(t)
	c.writeDeadline.at(t)
	return nil
}

// SetReadDeadline sets when blocked and later calls of Read fail with
// os.ErrDeadlineExceeded; the zero time is never.
func (c *TCPConn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.wrap("set", net.ErrClosed)
	}
	c.readDeadline.at(t)
	return nil
}

// SetWriteDeadline is SetReadDeadline for Write.
func (c *TCPConn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.wrap("set", net.ErrClosed)
	}
	c.writeDeadline.at(t)
	return nil
}

// CloseWrite sends the end of the stream behind all that was written.
func (c *TCPConn) CloseWrite() error {
	c.snd.mu.Lock()
	err := c.snd.err
	if c.snd.shut {
		err = nil
	}
	c.snd.shut = true
	c.snd.mu.Unlock()
	signal(c.snd.room)
	c.post()
	return c.wrap("close", err)
}

// CloseRead makes Read return io.EOF; what arrives is dropped.
func (c *TCPConn) CloseRead() error {
	err := c.do("close", func(int64) { c.tcp.CloseRead() })
	c.rx.end(nil)
	return err
}

// Close ends both directions: what was written is still delivered, in the background.
// If bytes have arrived that were not read, or still do, the connection is reset.
func (c *TCPConn) Close() error {
	if c.abrupt.Load() {
		return c.Abort()
	}
	return c.close(func(now int64) { c.tcp.Close(now, &c.s.out) })
}

// Abort ends the connection at once, with RST, and drops what is on its way.
func (c *TCPConn) Abort() error { return c.close(func(now int64) { c.tcp.Abort(now, &c.s.out) }) }

func (c *TCPConn) close(how func(now int64)) error {
	if c.closed.Swap(true) {
		return c.wrap("close", net.ErrClosed)
	}
	c.s.call(func(now int64) {
		if !c.gone {
			c.s.takeFolded(c, now)
			c.takeWritten(now, true)
			c.takeConsumed(now)
			how(now)
			c.s.finish(c, now)
		}
	})
	c.rx.close()
	c.snd.end(net.ErrClosed)
	if c.readMu.TryLock() { // else the reader sees to it
		c.dropHeld()
		c.readMu.Unlock()
	}
	c.readDeadline.at(time.Time{})
	c.writeDeadline.at(time.Time{})
	return nil
}

// Info describes the connection as it is now.
func (c *TCPConn) Info() Info {
	var i Info
	c.s.mu.Lock()
	defer c.s.unlock()
	i.State = c.tcp.State().String()
	i.CongestionWindow, i.SendWindow, i.ReceiveBuffer = c.tcp.Window()
	i.RTT, i.RetransmissionTimeout = time.Duration(c.tcp.RTT()), time.Duration(c.tcp.Retransmit())
	variance, least := c.tcp.RTTSpread()
	i.RTTVar, i.MinRTT, i.MaxSegment = time.Duration(variance), time.Duration(least), c.tcp.MaxSegment()
	i.Retransmits, i.Timeouts = c.tcp.Stats.RetransSegs, c.tcp.Stats.RTOs
	return i
}

// Info is what TCP_INFO is on Linux. Sizes are bytes.
type Info struct {
	State                        string // by RFC 9293
	CongestionWindow, SendWindow int
	ReceiveBuffer                int
	RTT                          time.Duration // smoothed; 0: not measured
	RTTVar, MinRTT               time.Duration // its variance, and the least seen lately
	RetransmissionTimeout        time.Duration
	MaxSegment                   int    // payload of a full segment
	Retransmits                  uint64 // segments
	Timeouts                     uint64 // retransmission timeouts
}

func tcpAddr(a wire.Addr, port uint16) *net.TCPAddr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Netip(), port))
}
