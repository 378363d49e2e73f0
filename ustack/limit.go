package ustack

// bucket lets so many things happen in a second, in bursts of as many.
type bucket struct {
	perSecond int64
	tokens    int64
	at        int64 // when tokens were last added, nanoseconds
}

// take reports whether one more may happen now.
func (b *bucket) take(now int64) bool {
	if add := (now - b.at) * b.perSecond / 1e9; add > 0 {
		b.tokens = min(b.tokens+add, b.perSecond)
		b.at = now
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

// rateLimits bound what strangers can make a shard send.
type rateLimits struct {
	challenges bucket // RFC 5961, 10
	resets     bucket
	errors     bucket // of ICMP (RFC 1812, 4.3.2.8)
	allow      func() bool
}

func (r *rateLimits) init() {
	*r = rateLimits{challenges: bucket{perSecond: 1000}, resets: bucket{perSecond: 10000}, errors: bucket{perSecond: 1000}}
}

// challenge returns the limit of challenge ACKs for connections of s, the same for all.
func (r *rateLimits) challenge(s *shard) func() bool {
	if r.allow == nil {
		r.allow = func() bool { return r.challenges.take(s.st.now()) }
	}
	return r.allow
}
