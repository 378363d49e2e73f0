package tcp

// pacer spreads a window over the round trip. Where Linux leaves it to the fq
// scheduler, here it is the connection's.
type pacer struct {
	next int64 // when the next byte may go, nanoseconds
}

// burstTime is how much of the path's rate may leave in one go; less would cost a
// timer for each segment.
const burstTime = millisecond

// rate is the pacing rate in bytes per second: twice the window per round trip while
// the window doubles, else 1.2 times (Linux: tcp_pacing_ss_ratio, tcp_pacing_ca_ratio).
func (p *pacer) rate(c *Conn) int64 {
	gain := int64(120)
	if c.cc.slowStart() {
		gain = 200
	}
	r := max(int64(c.cc.cwnd)*gain/100*second/max(c.rtt.srtt, 1), 1)
	if most := int64(c.cfg.PacingMax) << 10; most > 0 {
		return min(r, most)
	}
	return r
}

// allows reports whether anything may be sent now, and cuts n to what.
func (p *pacer) allows(c *Conn, now int64, n *int) bool {
	if c.rtt.srtt == 0 || *n == 0 {
		return true
	}
	if now < p.next {
		c.timers.pace = p.next
		return false
	}
	most := max(int(p.rate(c)*burstTime/second), 2*c.mss)
	if *n > most {
		*n = most - most%c.mss
	}
	return true
}

// sent notes that n bytes were sent.
func (p *pacer) sent(c *Conn, now int64, n int) {
	if c.rtt.srtt != 0 {
		p.next = max(p.next, now) + int64(n)*second/p.rate(c)
	}
}
