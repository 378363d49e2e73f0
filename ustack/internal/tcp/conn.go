package tcp

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// State is a state of RFC 9293, 3.3.2. There is no LISTEN: a Conn begins with a SYN.
type State uint8

// States.
const (
	Closed State = iota
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
)

var stateNames = [...]string{
	"CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2",
	"CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT",
}

// String returns the RFC's name.
func (s State) String() string { return stateNames[s] }

// Error is why a connection ended.
type Error uint8

// Causes of an end.
const (
	NoError        Error = iota // both sides have closed
	ErrReset                    // the peer sent RST
	ErrRefused                  // the peer answered a SYN with RST
	ErrTimeout                  // no answer for too long
	ErrAborted                  // the application called Abort
	ErrUnread                   // closed while bytes came in that nobody would read
	ErrUnreachable              // the network said so while connecting
)

// Conn is a connection. Its methods may be called by one goroutine at a time.
type Conn struct {
	cfg   Config
	state State
	err   Error

	// Sending. Sequence numbers by their names in RFC 9293, 3.3.1.
	iss, una, nxt uint32
	end           uint32 // behind the last byte that the application wrote
	wnd           uint32 // the peer's window, scaled
	wl1, wl2      uint32
	wndMax        uint32 // the largest window the peer has offered
	mss           int    // payload of a full segment with the usual options
	peerMSS       int    // as the peer's SYN said
	sndScale      uint8
	smallEnd      uint32 // behind the last segment that was short for want of bytes
	finQueued     bool   // the application has closed its side
	finSent       bool
	synDue        bool // a SYN or SYN-ACK is to be sent
	probeDue      bool // a segment that the peer must answer is to be sent
	force         bool // send what the window allows, small or not

	recs    records
	loss    lossState
	cc      congestion
	rtt     rtt
	pace    pacer
	mtu     pathMTU
	timers  timers
	sentAt  int64 // last transmission of data
	backoff uint8

	// Receiving.
	irs, rnxt uint32
	edge      uint32 // right edge of the window as advertised
	rcvScale  uint8
	limit     int   // receive buffer
	unread    int   // bytes delivered and not consumed
	rcvMSS    int   // estimate of the peer's full segment
	unacked   int   // bytes received since the last ACK
	quick     uint8 // segments still to be acknowledged at once
	ackNow    bool
	ackSoon   bool  // as soon as the application has had time to answer
	dupAcks   uint8 // further ACKs that a peer without SACK needs to count
	ooo       outOfOrder
	finAt     uint32 // where the peer's FIN is; valid if finSeen
	finSeen   bool
	rcvClosed bool // nobody will read any more
	orphan    bool // the application has let go altogether
	tune      autotune

	// Options agreed on.
	timestamps, sack, ecn bool
	ecnEcho, ecnCWR       bool
	tsRecent              uint32
	tsRecentAt            int64
	lastAck               uint32 // the last ACK number sent (RFC 7323, Last.ACK.sent)
	passive               bool

	Stats Stats
}

// Stats counts what happened to a connection, under the names of Linux's
// /proc/net/netstat where it has one.
type Stats struct {
	SegsIn, SegsOut   uint64 // merged segments count as one
	BytesIn, BytesOut uint64 // payload, retransmissions included in BytesOut
	RetransSegs       uint64
	RTOs, TLPs        uint64 // TCPTimeouts, TCPLossProbes
	Recoveries        uint64 // TCPSackRecovery, TCPRenoRecovery
	Undos             uint64 // TCPTSReorder: reductions found to be wrong
	DSACKsIn          uint64 // TCPDSACKRecv
	DSACKsOut         uint64 // TCPDSACKOldSent
	OutOfOrder        uint64 // TCPOFOQueue
	PAWS              uint64 // PAWSEstab
	Challenges        uint64 // TCPChallengeACK
	Predicted         uint64 // TCPHPHits: segments of the fast path
	ZeroWindowProbes  uint64 // TCPWinProbe
	KeepAlives        uint64 // TCPKeepAlive
	Pruned            uint64 // out-of-order frames dropped for want of memory
	Shortened         uint32 // times that segments were made shorter for a black hole
	MTUFound          uint32 // TCPMTUPSuccess: longer segments that passed
}

// Connect begins an active open. Output then sends the SYN.
func Connect(cfg Config, now int64) *Conn {
	c := newConn(cfg, now)
	c.state, c.synDue = SynSent, true
	return c
}

// Accept makes a connection of a SYN that has arrived. Output then sends the SYN-ACK.
// The caller has made sure that s is a SYN with neither ACK nor RST; data in it is
// dropped, and will be sent again.
func Accept(cfg Config, now int64, s *Segment) *Conn {
	c := newConn(cfg, now)
	c.state, c.synDue, c.passive = SynReceived, true, true
	c.synOptions(now, s)
	if s.Flags&(wire.ECE|wire.CWR) == wire.ECE|wire.CWR {
		c.ecn = c.cfg.ECN
	}
	return c
}

// Resume makes a connection as Accept does, whose SYN-ACK was sent and forgotten: the
// caller has made sure that the segment to arrive next answers it.
func Resume(cfg Config, now int64, syn *Segment) *Conn {
	c := Accept(cfg, now, syn)
	c.synDue = false
	c.nxt = c.iss + 1
	c.edge = c.rnxt + uint32(min(c.limit, 65535))
	c.sentAt, c.backoff = now, 1 // the round trip was not measured
	return c
}

// Scale is the window scale that is offered for a receive buffer of so many bytes.
func Scale(limit int) (n uint8) {
	for n < wire.WindowScaleMax && limit>>n > 65535 {
		n++
	}
	return n
}

// Stamp is the timestamp that a connection of that configuration sends now.
func Stamp(cfg *Config, now int64) uint32 { return uint32(now/millisecond) + cfg.TSOffset }

func newConn(cfg Config, now int64) *Conn {
	c := &Conn{cfg: cfg, iss: cfg.ISN, una: cfg.ISN, nxt: cfg.ISN, end: cfg.ISN + 1, smallEnd: cfg.ISN, wl2: cfg.ISN}
	c.limit, c.rcvMSS, c.quick = cfg.ReceiveMin, min(cfg.MSS, 536), quickStart
	c.rcvScale = Scale(cfg.ReceiveMax)
	c.timestamps, c.sack = !cfg.NoTimestamp, !cfg.NoSACK
	c.peerMSS = 536
	c.mtu.begin(&cfg, now)
	c.loss.reduced = cfg.ISN
	c.setMSS()
	c.rtt.rto = rtoInitial
	c.cc.init(cfg.Congestion, c.mss)
	c.timers.progress = now
	return c
}

// quickStart is how many segments are acknowledged at once in the beginning, while
// the sender's window is small (Linux: TCP_MAX_QUICKACKS).
const quickStart = 16

// synOptions takes over what the peer's SYN says.
func (c *Conn) synOptions(now int64, s *Segment) {
	o := s.Options
	c.irs, c.rnxt = s.Seq, s.Seq+1
	c.edge, c.lastAck = c.rnxt, c.rnxt
	if o.MSS != 0 {
		c.peerMSS = max(int(o.MSS), 64) // smaller ones are attacks on the sender's CPU
	}
	if o.WindowScale >= 0 {
		c.sndScale = uint8(o.WindowScale)
	} else {
		c.sndScale, c.rcvScale = 0, 0
	}
	c.sack = c.sack && o.SACKPermitted
	c.timestamps = c.timestamps && o.Timestamps
	if c.timestamps {
		c.tsRecent, c.tsRecentAt = o.TSVal, now
	}
	c.wnd = uint32(s.Window) // never scaled in a SYN
	c.wndMax = c.wnd
	c.wl1 = s.Seq
	c.mtu.limit(c.peerMSS)
	c.setMSS()
	c.cc.initialWindow(c.mss)
	c.tune.begin(now, c.rnxt)
}

// setMSS derives the payload of a full segment from what the link and the peer take.
func (c *Conn) setMSS() {
	c.mss = min(c.PathSize(), c.peerMSS)
	if c.timestamps {
		c.mss -= 12
	}
}

// State returns the state of the connection.
func (c *Conn) State() State { return c.state }

// Err returns why the connection is Closed.
func (c *Conn) Err() Error { return c.err }

// Acked returns the sequence number up to which the caller may forget bytes.
func (c *Conn) Acked() uint32 {
	if gt(c.una, c.end) {
		return c.end // the FIN has been acknowledged too
	}
	return c.una
}

// Written returns the sequence number of the next byte that the application writes.
func (c *Conn) Written() uint32 { return c.end }

// ReadEnded reports whether all bytes up to the peer's FIN were delivered.
func (c *Conn) ReadEnded() bool {
	switch c.state {
	case CloseWait, Closing, LastAck, TimeWait:
		return true
	}
	return c.state == Closed && c.err == NoError
}

// Window returns the congestion window, the peer's window and the receive buffer, in
// bytes.
func (c *Conn) Window() (congestion, peer, receive int) { return c.cc.cwnd, int(c.wnd), c.limit }

// RTT returns the smoothed round trip time in nanoseconds; 0: not measured yet.
func (c *Conn) RTT() int64 { return c.rtt.srtt }

// Retransmit returns the timeout for retransmission in nanoseconds.
func (c *Conn) Retransmit() int64 { return c.rtt.rto }

// QueuedOutOfOrder returns how many frames wait for a gap before them to be filled.
func (c *Conn) QueuedOutOfOrder() int { return c.ooo.frames.N }

// finish ends the connection.
func (c *Conn) finish(o *Out, why Error) {
	c.state, c.err = Closed, why
	c.timers = timers{}
	o.Dropped.Join(&c.ooo.frames)
	c.recs = records{}
	o.Events |= Ended
}

// drop hands the frames of a segment back.
func drop(s *Segment, o *Out) { o.Dropped.Join(&s.Data) }

// free hands one frame back.
func free(f *frame.Frame, o *Out) { o.Dropped.Push(f) }

// Add adds the counts of t to s.
func (s *Stats) Add(t *Stats) {
	s.SegsIn += t.SegsIn
	s.SegsOut += t.SegsOut
	s.BytesIn += t.BytesIn
	s.BytesOut += t.BytesOut
	s.RetransSegs += t.RetransSegs
	s.RTOs += t.RTOs
	s.TLPs += t.TLPs
	s.Recoveries += t.Recoveries
	s.Undos += t.Undos
	s.DSACKsIn += t.DSACKsIn
	s.DSACKsOut += t.DSACKsOut
	s.OutOfOrder += t.OutOfOrder
	s.PAWS += t.PAWS
	s.Challenges += t.Challenges
	s.Predicted += t.Predicted
	s.ZeroWindowProbes += t.ZeroWindowProbes
	s.KeepAlives += t.KeepAlives
	s.Pruned += t.Pruned
	s.Shortened += t.Shortened
	s.MTUFound += t.MTUFound
}
