package tcp

// rtt estimates the round trip and derives the timeout (RFC 6298). Nanoseconds.
type rtt struct {
	srtt, variance int64
	rto            int64
	min            int64 // least seen lately; 0: none
	minAt          int64
}

// minLife is how long a least round trip time is believed (Linux: tcp_min_rtt_wlen).
const minLife = 300 * second

// sample takes in one measurement.
func (r *rtt) sample(now, t int64) {
	t = max(t, 1)
	if r.srtt == 0 {
		r.srtt, r.variance = t, t/2
	} else {
		d := r.srtt - t
		if d < 0 {
			d = -d
		}
		r.variance += (d - r.variance) / 4
		r.srtt += (t - r.srtt) / 8
	}
	r.srtt = max(r.srtt, 1)
	r.reset()
	if r.min == 0 || t <= r.min || now-r.minAt > minLife {
		r.min, r.minAt = t, now
	}
}

// reset forgets backing off.
func (r *rtt) reset() {
	if r.srtt == 0 {
		r.rto = rtoInitial
		return
	}
	// Linux's floor is under the variance, not under the sum: an ACK that the peer
	// delays must not look lost on a long path.
	r.rto = min(r.srtt+max(4*r.variance, rtoMin), rtoMax)
}

// backOff doubles the timeout (RFC 6298, 5.5).
func (r *rtt) backOff() { r.rto = min(2*r.rto, rtoMax) }
