package tcp

import (
	"fmt"
	"testing"
)

// Each test here is a stall that gVisor's netstack had, by the number of the report at
// github.com/google/gvisor/issues.

// patience is the longest time that a receiver may go without bytes when one segment in
// a hundred is lost: a timeout that is doubled once.
const patience = 2 * (rtoMin + rtoMin)

// Issue 6113: streams stop for good where the round trip takes microseconds, with losses.
func TestNoStallAtTinyRoundTrips(t *testing.T) {
	for _, k := range kinds {
		for _, delay := range []int64{300, 5_000, 50_000} { // nanoseconds
			t.Run(fmt.Sprintf("%s/delay=%dns", k.name, delay), func(t *testing.T) {
				for seed := range uint64(3) {
					cfg := sized(k.cfg)
					p := path{loss: 0.01, delay: delay, rate: 1_250_000_000, queue: 1 << 20}
					s := newSim(t, seed, p, cfg, cfg, [2]int{3_000_000, 0})
					s.run(60 * second)
					if s.silence > patience {
						t.Errorf("seed %d: nothing came for %.3f s: %+v", seed, float64(s.silence)/second, s.p[0].c.Stats)
					}
				}
			})
		}
	}
}

// Issue 10312: throughput craters after a receiver has taken its window back.
func TestNoStallAfterShrinkingWindows(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			cfg := sized(k.cfg)
			p := path{delay: millisecond, rate: 12_500_000, queue: 200_000, shut: func(now int64) bool { return now%(500*millisecond) > 480*millisecond }}
			s := newSim(t, 1, p, cfg, cfg, [2]int{20_000_000, 0})
			took := s.run(60 * second)
			if s.silence > patience {
				t.Errorf("nothing came for %.3f s: %s", float64(s.silence)/second, s.state())
			}
			// 1.6 s are needed; each of the three closures may cost a timeout or two.
			if took > 6*second {
				t.Errorf("20 MB at 12.5 MB/s took %.1f s: %s", float64(took)/second, s.state())
			}
		})
	}
}

// Issue 9153: receivers that keep less out of order than they promised throw away what
// waits for one lost segment, and lose it a second time.
func TestNoStallWithMostOfTheWindowOutOfOrder(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			cfg := sized(k.cfg)
			cfg.ReceiveMin, cfg.ReceiveMax = 1<<20, 1<<20
			dropped := map[uint32]bool{}
			most := 0
			p := path{delay: 20 * millisecond, rate: 125_000_000, queue: 4 << 20}
			// The first segment of each megabyte is lost once: all that follows in the
			// window waits for it.
			p.drop = func(s *sim, from int, x *Send) bool {
				if c := s.p[1].c; c != nil {
					most = max(most, c.ooo.frames.N*cfg.MSS*100/c.limit)
				}
				mega := (x.Seq - s.p[0].cfg.ISN) >> 20
				if from != 0 || x.Len == 0 || mega == 0 || dropped[mega] {
					return false
				}
				dropped[mega] = true
				return true
			}
			s := newSim(t, 1, p, cfg, cfg, [2]int{8 << 20, 0})
			s.run(60 * second)
			c := s.p[0].c
			if most < 60 {
				t.Errorf("at most %d %% of the receive buffer were out of order: the test proves nothing", most)
			}
			if s.p[1].c.Stats.Pruned != 0 || int(c.Stats.RetransSegs) > 3*len(dropped) && !cfg.NoSACK {
				t.Errorf("%d segments were dropped on the way, %d by the receiver, %d sent again", len(dropped), s.p[1].c.Stats.Pruned, c.Stats.RetransSegs)
			}
			if s.silence > patience {
				t.Errorf("nothing came for %.3f s", float64(s.silence)/second)
			}
		})
	}
}

// Issue 9778: clocks that tick twice a millisecond, as on Windows, make RACK see losses
// where there are none, and hold the window below ten segments.
func TestNoFalseLossesWithACoarseClock(t *testing.T) {
	for _, k := range kinds {
		for _, tick := range []int64{100_000, 500_000, 15_600_000} {
			for _, delay := range []int64{50_000, 2 * millisecond, 20 * millisecond} {
				t.Run(fmt.Sprintf("%s/tick=%dus/delay=%dus", k.name, tick/1000, delay/1000), func(t *testing.T) {
					cfg := sized(k.cfg)
					p := path{delay: delay, rate: 125_000_000, queue: 8 << 20, tick: tick}
					s := newSim(t, 1, p, cfg, cfg, [2]int{4_000_000, 0})
					s.run(60 * second)
					c := s.p[0].c
					// A probe of the tail may come a tick too early, and asks no more than that.
					if c.Stats.RetransSegs > c.Stats.TLPs || c.Stats.TLPs > 4 || c.Stats.Recoveries+c.Stats.RTOs != 0 || c.cc.cwnd < 10*c.mss {
						t.Errorf("nothing was lost: %d sent again, window of %d segments, %+v", c.Stats.RetransSegs, c.cc.cwnd/c.mss, c.Stats)
					}
				})
			}
		}
	}
}

// The same with losses: each costs about one retransmission, and the window recovers.
func TestWindowUnderTenSegmentsRecovers(t *testing.T) {
	for _, k := range kinds {
		for _, tick := range []int64{0, 500_000} {
			t.Run(fmt.Sprintf("%s/tick=%dus", k.name, tick/1000), func(t *testing.T) {
				cfg := sized(k.cfg)
				// Room for six segments: the window is always that small.
				p := path{loss: 0.01, delay: 2 * millisecond, rate: 1_000_000, queue: 5000, tick: tick}
				s := newSim(t, 2, p, cfg, cfg, [2]int{2_000_000, 0})
				took := s.run(120 * second)
				if s.silence > 4*patience {
					t.Errorf("nothing came for %.3f s", float64(s.silence)/second)
				}
				if took > 12*second {
					t.Errorf("2 MB at 1 MB/s took %.1f s: %s", float64(took)/second, s.state())
				}
			})
		}
	}
}
