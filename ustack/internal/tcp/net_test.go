package tcp

import (
	"fmt"
	"testing"
)

// kinds of connection that every network is tried with.
var kinds = []struct {
	name string
	cfg  Config
}{
	{"full", Config{}},
	{"newreno", Config{Congestion: NewReno}},
	{"rfc6675", Config{NoRACK: true}},
	{"nosack", Config{NoSACK: true}},
	{"notimestamps", Config{NoTimestamp: true}},
	{"bare", Config{NoSACK: true, NoTimestamp: true, Congestion: NewReno}},
	{"ecn-paced", Config{ECN: true, Pacing: true}},
	{"nodelay-frames", Config{NoDelay: true, BurstMax: 1460}},
}

func sized(c Config) Config {
	c.MSS = 1460
	if c.BurstMax == 0 {
		c.BurstMax = 65000
	}
	c.ReceiveMin, c.ReceiveMax = 128<<10, 4<<20
	return c
}

// TestStreamsSurviveBadNetworks sends bytes both ways at once through networks that
// lose, delay, reorder and duplicate; every byte must come once and in order, and
// both ends must end.
func TestStreamsSurviveBadNetworks(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for _, k := range kinds {
		for _, loss := range []float64{0, 0.01, 0.1} {
			for _, delay := range []int64{20_000, millisecond, 50 * millisecond} {
				for _, reorder := range []float64{0, 0.05} {
					name := fmt.Sprintf("%s/loss=%g/delay=%dus/reorder=%g", k.name, loss, delay/1000, reorder)
					t.Run(name, func(t *testing.T) {
						for seed := range seeds {
							p := path{loss: loss, delay: delay, reorder: reorder, duplicate: reorder / 5, rate: 50_000_000, queue: 200_000, mark: true}
							cfg := sized(k.cfg)
							s := newSim(t, seed, p, cfg, cfg, [2]int{300_000, 50_000 * int(seed%2)})
							s.run(600 * second)
						}
					})
				}
			}
		}
	}
}

// TestSlowReader closes the window again and again.
func TestSlowReader(t *testing.T) {
	for _, k := range kinds {
		for _, loss := range []float64{0, 0.05} {
			t.Run(fmt.Sprintf("%s/loss=%g", k.name, loss), func(t *testing.T) {
				cfg := sized(k.cfg)
				cfg.ReceiveMin, cfg.ReceiveMax = 20_000, 20_000
				s := newSim(t, 3, path{loss: loss, delay: millisecond, rate: 10_000_000, queue: 100_000}, cfg, cfg, [2]int{200_000, 0})
				s.p[1].readStep, s.p[1].readWait = 7000, 30*millisecond
				s.run(600 * second)
			})
		}
	}
}

// TestThroughput holds throughput in virtual time to what the path allows. 100 Mb/s,
// 20 ms round trip, a queue of one bandwidth-delay product.
func TestThroughput(t *testing.T) {
	for _, c := range []struct {
		loss, reorder float64
		least         float64 // Mb/s
	}{
		{0, 0, 85},
		{0.0001, 0, 55},
		{0.001, 0, 18},
		{0, 0.01, 45},
	} {
		for _, kind := range []Congestion{CUBIC, NewReno} {
			cfg := sized(Config{Congestion: kind})
			const total = 20_000_000
			s := newSim(t, 7, path{loss: c.loss, reorder: c.reorder, delay: 10 * millisecond, rate: 12_500_000, queue: 250_000}, cfg, cfg, [2]int{total, 0})
			took := s.run(600 * second)
			rate := float64(total) * 8 / 1e6 / (float64(took) / second)
			t.Logf("loss %g reorder %g congestion %d: %.1f Mb/s %+v", c.loss, c.reorder, kind, rate, s.p[0].c.Stats)
			least := c.least
			if kind == NewReno {
				least /= 2
			}
			if rate < least {
				t.Errorf("loss %g, reorder %g, congestion %d: %.1f Mb/s, less than %g", c.loss, c.reorder, kind, rate, least)
			}
		}
	}
}
