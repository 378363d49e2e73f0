package tcp

// RTTSpread returns the variance of the round trip time (RFC 6298) and the least that was
// seen lately, in nanoseconds; 0: not measured yet.
func (c *Conn) RTTSpread() (variance, least int64) { return c.rtt.variance, c.rtt.min }

// MaxSegment returns the payload of a full segment with the usual options, in bytes.
func (c *Conn) MaxSegment() int { return c.mss }
