package tcp

// autotune grows the receive buffer with what the application reads in a round trip
// (dynamic right-sizing, as Linux's tcp_rcv_space_adjust).
type autotune struct {
	copied int    // bytes read in this round
	space  int    // most bytes read in a round
	began  int64  // when the round began
	until  uint32 // sequence number whose arrival ends a round trip measured here
	sentAt int64
	rtt    int64 // least round trip time seen from the receiver's side
}

// begin starts measuring.
func (a *autotune) begin(now int64, rnxt uint32) {
	*a = autotune{began: now, sentAt: now, until: rnxt}
}

// received measures the round trip from the receiver's side: a peer that is held back
// by our window sends what lies beyond it one round trip later.
func (a *autotune) received(c *Conn, now int64, s *Segment) {
	if gt(a.until, c.rnxt) {
		return
	}
	if a.sentAt != 0 && a.until != c.irs+1 {
		if t := max(now-a.sentAt, 1); a.rtt == 0 || t < a.rtt {
			a.rtt = t
		}
	}
	a.sentAt, a.until = now, c.edge
}

// consumed takes in that the application read n bytes.
func (a *autotune) consumed(c *Conn, now int64, n int) {
	a.copied += n
	round := a.rtt
	if c.rtt.srtt != 0 && (round == 0 || c.rtt.srtt < round) {
		round = c.rtt.srtt
	}
	if round == 0 || now-a.began < round {
		return
	}
	if a.copied > a.space {
		a.space = a.copied
		if want := 2*a.space + 16*c.cfg.MSS; want > c.limit {
			c.limit = min(want, max(c.cfg.ReceiveMax, c.limit))
		}
	}
	a.copied, a.began = 0, now
}
