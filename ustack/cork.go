package ustack

// cork keeps back the last bytes of a write that do not fill a segment, where an
// application streams: it writes again and again, with nothing coming in between. They
// leave with the next write, or soon (Linux: tcp_autocorking, which waits for the NIC).
// With devices that cut segments it saves every second packet.
type cork struct {
	kept    int    // bytes that TCP was not told of
	waits   bool   // in the shard's list
	streak  uint8  // writes in a row
	wroteAt int64  // when the last one was seen
	in      uint64 // bytes that had come then
}

const (
	corkTime   = 500_000 // nanoseconds that bytes are kept at most; more is no streak
	corkStreak = 4       // writes before any are kept
)

// takeWritten tells TCP what was written, all of it or but for a tail.
func (c *TCPConn) takeWritten(now int64, all bool) {
	n, shut := c.snd.tell()
	k := &c.cork
	if n > 0 {
		in := c.tcp.Stats.BytesIn
		if now-k.wroteAt > corkTime || in != k.in {
			k.streak = 0
		}
		k.streak = min(k.streak+1, corkStreak)
		k.wroteAt, k.in = now, in
	}
	if n += k.kept; n > 0 {
		k.kept = 0
		if k.streak == corkStreak && !shut && !all && c.st.cfg.TCP.Corking {
			if k.kept = c.tcp.Tail(n); k.kept > 0 {
				c.s.keep(c)
			}
		}
		c.tcp.Write(n - k.kept)
	}
	if shut {
		c.tcp.CloseWrite()
	}
}

// keep remembers that c keeps bytes back.
func (s *shard) keep(c *TCPConn) {
	s.counters[corked]++
	if c.cork.waits {
		return
	}
	c.cork.waits = true
	s.corked = append(s.corked, c)
	if s.corkedUntil == 0 {
		s.corkedUntil = c.cork.wroteAt + corkTime
	}
}

// uncork sends what was kept for its time.
func (s *shard) uncork(now int64) {
	if s.corkedUntil == 0 || now < s.corkedUntil {
		return
	}
	s.corkedUntil = 0
	left := s.corked[:0]
	for _, c := range s.corked {
		k := &c.cork
		switch due := k.wroteAt + corkTime; {
		case c.gone || k.kept == 0:
			k.waits = false
		case due > now:
			left = append(left, c)
			if s.corkedUntil == 0 || due < s.corkedUntil {
				s.corkedUntil = due
			}
		default:
			k.waits = false
			c.tcp.Write(k.kept)
			k.kept, k.streak = 0, 0
			s.finish(c, now)
		}
	}
	clear(s.corked[len(left):])
	s.corked = left
}
