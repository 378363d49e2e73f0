package tcp

import "testing"

func TestSegmentsFollowWhatRoutersSay(t *testing.T) { // RFC 1191, 8201
	c := run(t, plain, opened+`
		write 3000
		> . 1:1001
		> . 1001:2001
		> P. 2001:3001
		pathmtu 5000 600 # not outstanding: not believed (RFC 5927, 4.1)
		nothing
		pathmtu 0 600 # nor is what was acknowledged
		nothing
		pathmtu 1 1000 # no shorter than it is
		nothing
		pathmtu 1 600
		> . 1:601
		> . 601:1001
		> . 1001:1601
		> . 1601:2001
		> . 2001:2601
		> P. 2601:3001
		< . 1:1 ack 3001
		pathmtu 1 550
		write 1200
		> . 3001:3601
		> P. 3601:4201
		pathmtu 3001 100 # no path is as narrow as that
		> . 3001:3537
		> . 3537:3601
		> . 3601:4137
		> P. 4137:4201`)
	if c.cc.cwnd < 10*536 || c.Stats.Recoveries != 0 {
		t.Errorf("window %d after %d recoveries: it was no congestion", c.cc.cwnd, c.Stats.Recoveries)
	}
}

func TestBlackHoleIsNoticedAfterThreeTimeouts(t *testing.T) { // RFC 4821, 7.7
	cfg := Config{NoTimestamp: true, NoRACK: true, MSS: 1460, BurstMax: 1460}
	open := `
		connect
		> S 0:0 mss 1460
		+10 < S. 0:0 ack 1 win 20000 mss 1460 sackok
		> . 1:1
	`
	run(t, cfg, open+`
		write 2000
		> . 1:1461
		> P. 1461:2001
		+10 < . 1:1 ack 1 win 20000 sack 1461:2001 # the short one passes
		+200 > . 1:1461
		+420 > . 1:1461
		+840 > . 1:1025
		+10 < . 1:1 ack 1025 win 20000
		> . 1025:1461
		+10 < . 1:1 ack 2001 win 20000
		nothing`)
	cfg.NoMTUProbing = true
	run(t, cfg, open+`
		write 1460
		> P. 1:1461
		+210 > P. 1:1461
		+420 > P. 1:1461
		+840 > P. 1:1461`)
	run(t, Config{NoTimestamp: true, NoRACK: true}, opened+`
		write 500 # short: it is not the path's MTU
		> P. 1:501
		+210 > P. 1:501
		+420 > P. 1:501
		+840 > P. 1:501
		+1680 > P. 1:501`)
}

// stream sends n bytes over a path in virtual time.
func stream(t *testing.T, n int, p path, cfg Config) *sim {
	t.Helper()
	s := newSim(t, 5, p, cfg, cfg, [2]int{n, 0})
	s.run(3600 * second)
	return s
}

// between is an MTU that holds from one time to another.
func between(from, to int64, mtu int) func(int64) int {
	return func(now int64) int {
		if now >= from && now < to {
			return mtu
		}
		return 1 << 16
	}
}

func TestMTUSearchFindsWhatSilentRoutersTake(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			cfg := sized(k.cfg)
			p := path{delay: 5 * millisecond, rate: 10_000_000, queue: 100_000, mtu: between(0, 3600*second, 1360), silent: true}
			s := stream(t, 3_000_000, p, cfg)
			c := s.p[0].c
			if c.mtu.size > 1360 || c.mtu.size < 1360-searchStep {
				t.Errorf("segments of %d, the path takes 1360", c.mtu.size)
			}
			if c.Stats.Shortened != 1 || c.Stats.RTOs > 4 || c.Stats.MTUFound == 0 {
				t.Errorf("%+v", c.Stats)
			}
			if took := s.now - begin; took > 6*second {
				t.Errorf("it took %.1f s", s.seconds())
			}
		})
	}
}

func TestMTUShrinksAndGrowsOnTheWay(t *testing.T) {
	for _, silent := range []bool{false, true} {
		p := path{delay: 5 * millisecond, rate: 100_000, queue: 20_000, mtu: between(second, 30*second, 1000), silent: silent}
		s := stream(t, 65_000_000, p, sized(Config{}))
		c := s.p[0].c
		if c.mtu.size != 1460 || s.now-begin < searchAgain {
			t.Errorf("silent %v: segments of %d at the end, after %.0f s: a longer path is looked for every 10 minutes", silent, c.mtu.size, s.seconds())
		}
		if !silent && c.Stats.RTOs > 0 {
			t.Errorf("%d timeouts though the router told", c.Stats.RTOs)
		}
	}
}

func TestOutageIsNoBlackHole(t *testing.T) {
	p := path{delay: 5 * millisecond, rate: 2_000_000, queue: 50_000, mtu: between(second/2, 5*second, 0), silent: true}
	s := stream(t, 3_000_000, p, sized(Config{}))
	c := s.p[0].c
	if c.Stats.Shortened == 0 || c.mtu.size != 1460 {
		t.Errorf("after an outage segments are %d bytes long, %+v", c.mtu.size, c.Stats)
	}
}

// TestLostProbeIsNoCongestion holds that the search costs no window.
func TestLostProbeIsNoCongestion(t *testing.T) {
	p := path{delay: 5 * millisecond, rate: 10_000_000, queue: 1 << 20, mtu: between(0, 3600*second, 1100), silent: true}
	s := stream(t, 8_000_000, p, sized(Config{}))
	c := s.p[0].c
	if c.Stats.Recoveries != 0 || c.Stats.RTOs > 4 || c.mtu.size > 1100 || c.mtu.size < 1100-searchStep {
		t.Errorf("segments of %d, %+v", c.mtu.size, c.Stats)
	}
}
