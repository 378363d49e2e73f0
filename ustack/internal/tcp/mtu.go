package tcp

// pathMTU finds out how long the segments are that the path takes, where routers do
// not tell (packetization layer path MTU discovery, RFC 4821 and RFC 8899, for black
// holes as Linux's tcp_mtu_probing=1 does it). Sizes are as Config.MSS has them: the
// payload without TCP options.
//
// Timeouts in a row make segments shorter. Once they pass, single longer ones look for
// what the path takes: a probe carries bytes that are due anyway, so that its loss
// costs a retransmission and is no sign of congestion.
type pathMTU struct {
	size, link int32      // of full segments now; what the link and the peer take
	search     *mtuSearch // nil: the path was never narrower than the link
}

// mtuSearch is the state of a search, which few connections ever need.
type mtuSearch struct {
	high      int    // the longest size that may pass
	again     int64  // when high is forgotten; 0: it is the link's
	probe     int    // size on its way; 0: none
	seq, end  uint32 // its bytes; valid if probe > 0
	wait      int64  // no probe before this
	straight  bool   // the next probe tries high itself, and not the middle
	shortened bool   // for want of an answer: there may have been another cause
}

const (
	holeAfter   = 3            // timeouts in a row (Linux: tcp_retries1)
	holeBase    = 1024         // first size after these (RFC 4821, 7.2)
	searchStep  = 32           // bytes within which the search ends (RFC 8899, 5.1.2)
	searchAgain = 600 * second // a longer path is looked for after this (RFC 8201, 4)
	probeBehind = 3            // segments behind a probe, so that its loss is noticed
)

// mssFloor is what every path takes if Config.MSSMin does not say: IPv4's 576 bytes.
const mssFloor = 536

func (c *Conn) mssMin() int {
	if c.cfg.MSSMin > 0 {
		return c.cfg.MSSMin
	}
	return mssFloor
}

// narrow begins a search, unless there is one.
func (m *pathMTU) narrow() *mtuSearch {
	if m.search == nil {
		m.search = &mtuSearch{high: int(m.link)}
	}
	return m.search
}

// next returns the size that is worth a probe; 0: none.
func (m *pathMTU) next(now int64) int {
	q, size := m.search, int(m.size)
	if q.again != 0 && now >= q.again {
		q.high, q.again, q.straight = int(m.link), 0, true
	}
	switch {
	case q.probe != 0 || now < q.wait:
		return 0
	case q.straight && q.high > size:
		return q.high
	case q.high-size >= searchStep:
		return (size + q.high + 1) / 2
	}
	return 0
}

// PathMTU says that a router did not pass on a packet, because it takes no more than
// mss bytes of TCP payload without options. seq is that of the packet; if it is not
// outstanding, the news is not believed (RFC 5927, 4), and neither is a size below what
// every path takes. It returns whether it was believed.
func (c *Conn) PathMTU(now int64, seq uint32, mss int) bool {
	mss = max(mss, c.mssMin())
	if c.state == Closed || lt(seq, c.una) || geq(seq, c.nxt) || mss >= c.PathSize() {
		return false
	}
	q := c.mtu.narrow()
	q.high, q.again, q.straight = mss, now+searchAgain, false
	c.resize(mss)
	for i := range c.recs.n() {
		c.recs.markLost(i) // lost to the path, not to congestion: the window stays
	}
	return true
}

// PathSize is what the path is believed to take, as the payload of a segment without
// options.
func (c *Conn) PathSize() int { return int(c.mtu.size) }

// begin begins with what is known about the path.
func (m *pathMTU) begin(cfg *Config, now int64) {
	m.size, m.link = int32(cfg.MSS), int32(cfg.MSS)
	if p := cfg.MSSPath; p > 0 && p < cfg.MSS {
		m.size = int32(p)
		q := m.narrow()
		q.high, q.again = p, now+searchAgain
	}
}

// limit takes in the longest segment that the peer takes.
func (m *pathMTU) limit(peer int) {
	m.link = min(m.link, int32(peer))
	m.size = min(m.size, m.link)
	if m.search != nil {
		m.search.high = min(m.search.high, int(m.link))
	}
}

// resize changes the size of segments.
func (c *Conn) resize(mss int) {
	c.mtu.size, c.mtu.search.probe = int32(mss), 0
	c.setMSS()
	c.cc.resize(c.mss)
}

// shortenForHole makes segments shorter after timeouts in a row: they may be too long
// for a path whose routers are silent.
func (c *Conn) shortenForHole() {
	size := c.PathSize()
	if c.cfg.NoMTUProbing || c.backoff < holeAfter || c.recs.n() == 0 || size <= c.mssMin() {
		return
	}
	if r := c.recs.at(0); r.len() < c.mss {
		return // a short one did not arrive either
	}
	q := c.mtu.narrow()
	to := holeBase
	if q.shortened && size <= holeBase {
		to = size / 2
	}
	if to = max(min(to, size), c.mssMin()); to == size {
		return
	}
	c.Stats.Shortened++
	q.straight, q.shortened = true, true // it may have been an outage: high stays
	c.resize(to)
}

// probeMTU returns how many of left bytes a probe takes, if one is to be sent now; -1 is
// to wait until the congestion window has room for it.
func (c *Conn) probeMTU(now int64, left, room int) (n int, ok bool) {
	if c.mtu.size >= c.mtu.link || c.cfg.NoMTUProbing || c.loss.phase != open ||
		c.recs.lost > 0 || c.recs.sacked > 0 || c.ooo.frames.N > 0 || c.ooo.hasDup {
		return 0, false
	}
	size := c.mtu.next(now)
	if size == 0 {
		return 0, false
	}
	n = c.mss + size - c.PathSize()
	need := n + probeBehind*c.mss
	if left < need || c.cc.cwnd < need || int(int32(c.una+c.wnd-c.nxt)) < need {
		return 0, false
	}
	if room < n {
		if c.pipe() == 0 {
			return 0, false
		}
		return -1, true // what is on its way will make room
	}
	return n, true
}

// probeSent notes that n bytes from seq on left as a probe.
func (c *Conn) probeSent(seq uint32, n int) {
	q := c.mtu.search
	q.straight = false
	q.probe, q.seq, q.end = c.PathSize()+n-c.mss, seq, seq+uint32(n)
}

// probing reports whether a probe is on its way.
func (m *pathMTU) probing() bool { return m.search != nil && m.search.probe != 0 }

// resent notes that bytes are sent again: if they are a probe's, it was lost.
func (m *pathMTU) resent(now int64, rtt int64, r *record) {
	if q := m.search; m.probing() && lt(r.seq, q.end) && gt(r.end, q.seq) {
		q.high, q.again = q.probe-1, now+searchAgain
		q.probe, q.wait = 0, now+2*rtt
	}
}

// probeAlone reports whether all of the lost bytes that were newly found are a probe's.
func (c *Conn) probeAlone(lost int) bool {
	q := c.mtu.search
	if !c.mtu.probing() || lost != int(q.end-q.seq) {
		return false
	}
	i := c.recs.find(q.seq)
	return i < c.recs.n() && c.recs.at(i).lost && c.recs.at(i).seq == q.seq && c.recs.at(i).end == q.end
}

// probeArrived makes a size that has passed the size of segments.
func (c *Conn) probeArrived() {
	if c.mtu.probing() && geq(c.una, c.mtu.search.end) {
		c.Stats.MTUFound++
		c.resize(c.mtu.search.probe)
	}
}
