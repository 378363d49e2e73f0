package tcp

import "math"

// congestion is the congestion window: how it grows while all is well, and what is
// left of it after a loss. Bytes.
type congestion struct {
	kind     Congestion
	mss      int
	cwnd     int
	ssthresh int
	credit   int  // bytes acknowledged that have not made the window grow yet (RFC 5681, 3.1)
	limited  bool // the window, and not the application, held back what was sent
	cubic    cubic
}

func (g *congestion) init(kind Congestion, mss int) {
	g.kind, g.ssthresh = kind, math.MaxInt32
	g.initialWindow(mss)
}

// initialWindow is that of RFC 6928.
func (g *congestion) initialWindow(mss int) {
	g.mss = mss
	g.cwnd = min(10*mss, max(2*mss, 14600))
}

// resize follows a path whose packets must be shorter, or may be longer: shorter ones
// leave the window the same number of segments (RFC 8899, 4.6), longer ones the same
// number of bytes.
func (g *congestion) resize(mss int) {
	if mss < g.mss {
		g.cwnd = max(g.cwnd/g.mss, 2) * mss
	}
	g.mss = mss
}

func (g *congestion) slowStart() bool { return g.cwnd < g.ssthresh }

// acked grows the window after n bytes were acknowledged.
func (g *congestion) acked(now int64, n int, r *rtt) {
	if g.slowStart() {
		grow := min(n, g.ssthresh-g.cwnd)
		g.cwnd += grow
		if n -= grow; n == 0 {
			return
		}
	}
	var target int
	if g.kind == CUBIC {
		target = g.cubic.target(g, now, n, r.srtt)
	} else {
		target = g.cwnd // one segment for each window acknowledged
	}
	g.credit += n
	if target > 0 && g.credit >= target {
		g.cwnd += g.credit / target * g.mss
		g.credit %= target
	}
}

// reduce sets the threshold after a loss with flight bytes outstanding.
func (g *congestion) reduce(flight int) {
	base := min(g.cwnd, max(flight, 2*g.mss))
	if g.kind == CUBIC {
		g.ssthresh = g.cubic.reduce(g, base)
	} else {
		g.ssthresh = base / 2
	}
	g.ssthresh = max(g.ssthresh, 2*g.mss)
	g.credit = 0
}

// restart is the window after a pause longer than the timeout (RFC 5681, 4.1).
func (g *congestion) restart() {
	g.ssthresh = max(g.ssthresh, g.cwnd*3/4)
	g.cwnd = min(g.cwnd, min(10*g.mss, max(2*g.mss, 14600)))
	g.cubic.epoch = 0
}
