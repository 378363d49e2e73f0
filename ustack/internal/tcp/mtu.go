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
	size      int    // of full segments now
	link      int    // what the link and the peer take: the end of the search
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

// searching reports whether a longer size is worth a probe.
func (m *pathMTU) searching(now int64) bool {
	if m.again != 0 && now >= m.again {
		m.high, m.again, m.straight = m.link, 0, true
	}
	return m.high-m.size >= searchStep || m.straight && m.high > m.size
}

// PathMTU says that a router did not pass on a packet, because it takes no more than
// mss bytes of TCP payload without options. seq is that of the packet; if it is not
// outstanding, the news is not believed (RFC 5927, 4), and neither is a size below what
// every path takes. It returns whether it was believed.
func (c *Conn) PathMTU(now int64, seq uint32, mss int) bool {
	mss = max(mss, c.mssMin())
	if c.state == Closed || lt(seq, c.una) || geq(seq, c.nxt) || mss >= c.mtu.size {
		return false
	}
	c.mtu.high, c.mtu.again, c.mtu.straight = mss, now+searchAgain, false
	c.resize(c.mtu.high)
	for i := range c.recs.n() {
		c.recs.markLost(i) // lost to the path, not to congestion: the window stays
	}
	return true
}

// limits begins with what the link and the peer take.
func (m *pathMTU) limits(link, peer int) {
	m.link = min(link, peer)
	m.size = min(m.size, m.link)
	m.high = min(m.high, m.link)
}

// resize changes the size of segments.
func (c *Conn) resize(mss int) {
	c.mtu.size, c.mtu.probe = mss, 0
	c.setMSS()
	c.cc.resize(c.mss)
}

// shortenForHole makes segments shorter after timeouts in a row: they may be too long
// for a path whose routers are silent.
func (c *Conn) shortenForHole() {
	if c.cfg.NoMTUProbing || c.backoff < holeAfter || c.recs.n() == 0 || c.mtu.size <= c.mssMin() {
		return
	}
	if r := c.recs.at(0); r.len() < c.mss {
		return // a short one did not arrive either
	}
	size := holeBase
	if c.mtu.shortened && c.mtu.size <= holeBase {
		size = c.mtu.size / 2
	}
	size = max(min(size, c.mtu.size), c.mssMin())
	if size == c.mtu.size {
		return
	}
	c.Stats.Shortened++
	c.mtu.straight, c.mtu.shortened = true, true // it may have been an outage: high stays
	c.resize(size)
}

// probeMTU returns how many of left bytes a probe takes, if one is to be sent now; -1 is
// to wait until the congestion window has room for it.
func (c *Conn) probeMTU(now int64, left, room int) (n int, ok bool) {
	m := &c.mtu
	if m.probe != 0 || m.size >= m.link || c.cfg.NoMTUProbing || now < m.wait || !m.searching(now) ||
		c.loss.phase != open || c.recs.lost > 0 || c.recs.sacked > 0 || c.ooo.frames.N > 0 || c.ooo.hasDup {
		return 0, false
	}
	size := m.high
	if !m.straight {
		size = (m.size + m.high + 1) / 2
	}
	n = c.mss + size - m.size
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
	m := &c.mtu
	m.straight = false
	m.probe, m.seq, m.end = m.size+n-c.mss, seq, seq+uint32(n)
}

// probeResent notes that bytes are sent again: if they are a probe's, it was lost.
func (m *pathMTU) probeResent(now int64, rtt int64, r *record) {
	if m.probe != 0 && lt(r.seq, m.end) && gt(r.end, m.seq) {
		m.high, m.again = m.probe-1, now+searchAgain
		m.probe, m.wait = 0, now+2*rtt
	}
}

// probeAlone reports whether all of the lost bytes that were newly found are a probe's.
func (c *Conn) probeAlone(lost int) bool {
	m := &c.mtu
	if m.probe == 0 || lost != int(m.end-m.seq) {
		return false
	}
	i := c.recs.find(m.seq)
	return i < c.recs.n() && c.recs.at(i).lost && c.recs.at(i).seq == m.seq && c.recs.at(i).end == m.end
}

// probeArrived makes a size that has passed the size of segments.
func (c *Conn) probeArrived() {
	if m := &c.mtu; m.probe != 0 && geq(c.una, m.end) {
		c.Stats.MTUFound++
		c.resize(m.probe)
	}
}
