package ustack

// timerHeap holds connections by the time at which they are to be looked at, the
// earliest first. An entry may be early: a timer that moves to later, as most do with
// each packet, stays where it is until its time has come.
type timerHeap []*TCPConn

// nextTimer returns when the shard has something to do next by itself.
func (s *shard) nextTimer() int64 {
	next := int64(forever)
	if len(s.timers) > 0 {
		next = s.timers[0].timerAt
	}
	if s.corkedUntil != 0 {
		next = min(next, s.corkedUntil)
	}
	return next
}

// schedule makes sure that c is looked at no later than its deadline.
func (s *shard) schedule(c *TCPConn) {
	d := c.tcp.Deadline()
	switch {
	case d == 0:
	case c.timerIndex < 0:
		c.timerAt = d
		c.timerIndex = len(s.timers)
		s.timers = append(s.timers, c)
		s.timers.up(c.timerIndex)
	case d < c.timerAt:
		c.timerAt = d
		s.timers.up(c.timerIndex)
	}
}

// unschedule takes c out.
func (s *shard) unschedule(c *TCPConn) {
	i := c.timerIndex
	if i < 0 {
		return
	}
	n := len(s.timers) - 1
	moved := s.timers[n]
	s.timers[i] = moved
	moved.timerIndex = i
	s.timers[n] = nil
	s.timers = s.timers[:n]
	if i < n {
		s.timers.up(i)
		s.timers.down(moved.timerIndex)
	}
	c.timerIndex = -1
}

// timersDue lets connections whose time has come do what is due.
func (s *shard) timersDue(now int64) {
	for len(s.timers) > 0 && s.timers[0].timerAt <= now {
		c := s.timers[0]
		s.unschedule(c)
		if d := c.tcp.Deadline(); d != 0 && d <= now {
			c.tcp.Timer(now, &s.out)
			s.finish(c, now)
			continue
		}
		s.schedule(c)
	}
}

func (h timerHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].timerAt <= h[i].timerAt {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h timerHeap) down(i int) {
	for {
		least := 2*i + 1
		if least >= len(h) {
			return
		}
		if r := least + 1; r < len(h) && h[r].timerAt < h[least].timerAt {
			least = r
		}
		if h[i].timerAt <= h[least].timerAt {
			return
		}
		h.swap(i, least)
		i = least
	}
}

func (h timerHeap) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timerIndex, h[j].timerIndex = i, j
}

// graves are connections in TIME-WAIT, the oldest first. They are bounded, as Linux's
// tcp_max_tw_buckets does it: a server that closes first would drown in them.
type graves struct {
	list []*TCPConn
	head int
}

const gravesMax = 8192

// bury adds c, and forgets the oldest if there are too many.
func (s *shard) bury(c *TCPConn) {
	g := &s.dying
	g.list = append(g.list, c)
	for len(g.list)-g.head > gravesMax {
		old := g.list[g.head]
		g.list[g.head] = nil
		g.head++
		if !old.gone {
			s.counters[timeWaitOverflow]++
			s.end(old, nil)
		}
	}
	if g.head > len(g.list)/2 {
		n := copy(g.list, g.list[g.head:])
		clear(g.list[n:])
		g.list, g.head = g.list[:n], 0
	}
}
