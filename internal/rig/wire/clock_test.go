package wire

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestLine sends frames that always wait, from a thread that looks at odd times, and wants the
// cable's rate to a nanosecond a frame, at any rate.
func TestLine(t *testing.T) {
	for _, rate := range []float64{10e6, 1e9, 2.5e9, 100e9} {
		l := line{rate: rate}
		l.idle(1000)
		rng := rand.New(rand.NewPCG(1, 2))
		now, bits := int64(1000), 0.0
		for range 10_000 {
			now += rng.Int64N(200_000)
			for l.next() <= now {
				if n := l.next(); float64(n-1000) < bits/rate*1e9-1.01 {
					t.Fatalf("%v b/s: a frame at %d ns, %v bits went before", rate, n-1000, bits)
				}
				size := 1 + rng.IntN(1514)
				l.take(size)
				bits += float64(max(size, 60)+24) * 8
			}
		}
		if want := bits / rate * 1e9; math.Abs(float64(l.next()-1000)-want) > 2 {
			t.Errorf("%v b/s: the cable is free after %d ns, want %v", rate, l.next()-1000, want)
		}
	}
}

// TestLineIdle wants no credit for time in which nothing waited.
func TestLineIdle(t *testing.T) {
	l := line{rate: 1e9}
	l.idle(1_000_000)
	l.take(1514)
	if got := l.next(); got != 1_000_000+(1514+24)*8 {
		t.Errorf("free at %d", got)
	}
	l.idle(1_000_001) // the frame is still on its way
	if got := l.next(); got != 1_000_000+(1514+24)*8 {
		t.Errorf("free at %d", got)
	}
	l = line{}
	l.take(1514)
	if l.next() != 0 {
		t.Error("a cable without limit is busy")
	}
}

// TestBucket lets two lines take from one bucket whenever they may, and wants its rate of both
// together, and no more than its depth and a frame at once.
func TestBucket(t *testing.T) {
	rate, frame := 700e6, 1514.0
	b := newBucket(rate, 0)
	now, passed := int64(0), 0
	for b.next(now) <= now {
		b.take(int(frame))
		passed++
	}
	if most := rate*bucketDepth/1e9/8/frame + 2; float64(passed) > most {
		t.Errorf("%d frames at once, want at most %.0f", passed, most)
	}
	for now < 1e9 {
		at := b.next(now)
		if at > now {
			if float64(at-now) > 8*frame*1e9/rate+1 {
				t.Fatalf("waits %d ns, longer than a frame takes", at-now)
			}
			now = at
			continue
		}
		b.take(int(frame))
		passed++
	}
	if got := float64(passed) * frame * 8; math.Abs(got/rate-1) > 0.002 {
		t.Errorf("%v bits in a second, want %v", got, rate)
	}
}

// TestThrottle holds the rate that is asked for under load, also by a thread that wakes late, the
// gap after a pause, and frames without throttling.
func TestThrottle(t *testing.T) {
	const gap = 125_000
	rng := rand.New(rand.NewPCG(3, 4))
	th := throttle{gap: gap}
	now, fired := int64(1e9), 0
	begin := now
	for now < begin+1e9 {
		if due := th.due(now); due > now {
			now = due + rng.Int64N(60_000) // late
			continue
		}
		th.fire(now)
		fired++
	}
	if fired < 7990 || fired > 8001 {
		t.Errorf("%d interrupts in a second, want 8000", fired)
	}
	now = th.last + 10*gap // a pause
	if th.due(now) != now {
		t.Error("the first frame after a pause waits")
	}
	th.fire(now)
	if got := th.due(now + 1); got != now+gap {
		t.Errorf("the second is due after %d ns, want %d", got-now, gap)
	}
	none := throttle{}
	none.fire(now)
	if none.due(now) != now {
		t.Error("waits without throttling")
	}
}
