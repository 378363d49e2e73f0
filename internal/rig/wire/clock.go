package wire

import "math"

// never is a time that does not come.
const never = math.MaxInt64

// overhead is what a frame takes on an Ethernet cable beside its bytes from the destination's
// address to the end of its payload: preamble and start (8), check sequence (4), gap (12).
const overhead = 24

// leastFrame is the length, without check sequence, to which Ethernet pads a frame.
const leastFrame = 60

// line is one direction of a cable: frames follow each other at its rate. Times are
// nanoseconds of any clock.
type line struct {
	rate float64 // bits per second; 0: no limit
	free int64   // when the last bit of the frame before has left
	rest float64 // of free, below a nanosecond
}

// next is when a frame may leave at the earliest.
func (l *line) next() int64 { return l.free }

// take sends a frame, as soon as the one before has left.
func (l *line) take(bytes int) {
	if l.rate <= 0 {
		return
	}
	ns := float64(max(bytes, leastFrame)+overhead)*8e9/l.rate + l.rest
	whole := math.Floor(ns)
	l.free += int64(whole)
	l.rest = ns - whole
}

// idle says that nothing waited at a time: what comes later leaves later.
func (l *line) idle(at int64) {
	if at > l.free {
		l.free, l.rest = at, 0
	}
}

// bucket is a token bucket: what several lines share.
type bucket struct {
	rate   float64 // bits per second; 0: no limit
	depth  float64 // bits that may pass at once
	tokens float64 // bits
	at     int64   // to when tokens are counted
}

// bucketDepth is the time of its rate that a bucket holds: what may be made up for when the
// thread that moves the frames comes late.
const bucketDepth = 1e6 // ns

func newBucket(rate float64, now int64) bucket {
	depth := rate * bucketDepth / 1e9
	return bucket{rate: rate, depth: depth, tokens: depth, at: now}
}

// next is when the next frame may pass: now, or later.
func (b *bucket) next(now int64) int64 {
	if b.rate <= 0 {
		return now
	}
	if now > b.at {
		b.tokens = min(b.depth, b.tokens+float64(now-b.at)*b.rate/1e9)
		b.at = now
	}
	if b.tokens >= 0 {
		return now
	}
	return now + int64(math.Ceil(-b.tokens*1e9/b.rate))
}

// take lets a frame pass.
func (b *bucket) take(bytes int) {
	if b.rate > 0 {
		b.tokens -= float64(bytes) * 8
	}
}

// throttle spaces interrupts as the e1000's ITR does: no two within a gap.
type throttle struct {
	gap  int64 // nanoseconds; 0: none
	last int64 // when the last interrupt was due
}

// due is when an interrupt for a frame that waits now may be raised: now, or later.
func (t *throttle) due(now int64) int64 { return max(now, t.last+t.gap) }

// fire raises an interrupt that was due. One that is raised late does not put off the next by as
// much: the rate would fall below the one that was asked for by how late a thread wakes. After a
// pause the gap counts from now.
func (t *throttle) fire(now int64) {
	if due := t.last + t.gap; now-due < t.gap {
		t.last = due
	} else {
		t.last = now
	}
}
