package tcp

import "math"

// Constants of RFC 9438, 4.6 and 5.
const (
	cubicC     = 0.4
	cubicBeta  = 0.7
	cubicAlpha = 3 * (1 - cubicBeta) / (1 + cubicBeta)
)

// cubic is the state of RFC 9438. Windows are in segments, as the RFC has them.
type cubic struct {
	epoch    int64   // when congestion avoidance began; 0: not yet
	wMax     float64 // window before the last reduction
	k        float64 // seconds until wMax is reached again
	origin   float64 // window around which the curve is symmetrical
	estimate float64 // what Reno would have
	prior    float64 // window before the last reduction, for the estimate
}

// target returns how many acknowledged bytes make the window grow by a segment.
func (u *cubic) target(g *congestion, now int64, n int, srtt int64) int {
	mss := float64(g.mss)
	w := float64(g.cwnd) / mss
	if u.epoch == 0 {
		u.epoch, u.estimate = now, w
		if w < u.wMax {
			u.k, u.origin = math.Cbrt((u.wMax-w)/cubicC), u.wMax
		} else {
			u.k, u.origin = 0, w
		}
	}
	alpha := cubicAlpha
	if u.estimate >= u.prior {
		alpha = 1
	}
	u.estimate += alpha * float64(n) / float64(g.cwnd)

	t := float64(now-u.epoch+srtt)/second - u.k
	target := min(u.origin+cubicC*t*t*t, 1.5*w)
	target = max(target, u.estimate)
	if target <= w {
		return 100 * g.cwnd // hardly at all
	}
	return max(int(w/(target-w)*mss), g.mss)
}

// reduce returns the threshold after a loss.
func (u *cubic) reduce(g *congestion, base int) int {
	w := float64(base) / float64(g.mss)
	u.prior = w
	if w < u.wMax {
		u.wMax = w * (1 + cubicBeta) / 2 // fast convergence: leave room to newcomers
	} else {
		u.wMax = w
	}
	u.epoch = 0
	return int(float64(base) * cubicBeta)
}
