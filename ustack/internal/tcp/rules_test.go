package tcp

import (
	"testing"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

func TestTimeWaitIsReusedByTimestamps(t *testing.T) { // RFC 6191, 2
	c := run(t, Config{}, `
		connect
		> S 0:0
		+10 < S. 0:0 ack 1 win 20000 mss 1000 ts 500 1000000
		> . 1:1 ts 0 500
		closewrite
		> F. 1:1
		< F. 1:1 ack 2 ts 510 1000010
		> . 2:2 ack 2
		state TIME-WAIT`)
	for _, x := range []struct {
		what  string
		seq   uint32
		stamp uint32 // 0: none
		reuse bool
	}{
		{"a later timestamp, whatever the number", 0, 511, true},
		{"an earlier timestamp, whatever the number", 90000, 509, false},
		{"the same timestamp and a higher number", 90000, 510, true},
		{"the same timestamp and a lower number", 1, 510, false},
		{"no timestamp and a higher number", 90000, 0, true},
		{"no timestamp and a lower number", 1, 0, false},
	} {
		s := Segment{Seq: x.seq, Flags: wire.SYN, Options: noOptions()}
		s.Options.Timestamps, s.Options.TSVal = x.stamp != 0, x.stamp
		var o Out
		if c.Arrive(begin+second, &s, &o); o.Events&Reuse != 0 != x.reuse {
			t.Errorf("%s: reused %v", x.what, !x.reuse)
		}
	}
}

func TestResetInEachState(t *testing.T) { // RFC 9293, 3.10.7.4
	for _, x := range []struct{ script, end string }{
		{"accept mss 1000\n > S. 0:0\n < R 1:1", "state CLOSED\n error 2"},
		{opened + "< R 1:1", "state CLOSED\n error 1"},
		{opened + "closewrite\n > F. 1:1\n < R. 1:1 ack 1", "state CLOSED\n error 1"},
		{opened + "closewrite\n > F. 1:1\n < . 1:1 ack 2\n < R 1:1", "state CLOSED\n error 1"},
		{opened + "< F. 1:1 ack 1\n > . 1:1 ack 2\n < R 2:2", "state CLOSED\n error 1"},
		{opened + "< F. 1:1 ack 1\n > . 1:1 ack 2\n closewrite\n > F. 1:1\n < R 2:2", "state CLOSED\n error 0"},
		{opened + "closewrite\n > F. 1:1\n < F. 1:1 ack 1\n > . 2:2 ack 2\n < R 2:2", "state CLOSED\n error 0"},
		// Never is a reset answered with a reset.
		{opened + "< R 1:1", "nothing"},
	} {
		run(t, plain, x.script+"\n"+x.end)
	}
}

func TestResetMustBeExactlyNext(t *testing.T) { // RFC 5961, 3.2
	for seq, challenged := range map[string]bool{"0:0": false, "2:2": true, "65535:65535": true, "65537:65537": false} {
		what := "nothing"
		if challenged {
			what = "> . 1:1 ack 1"
		}
		run(t, plain, opened+"< R "+seq+"\n"+what+"\n state ESTABLISHED")
	}
}

func TestSimultaneousOpenWithData(t *testing.T) { // RFC 9293, figure 7
	run(t, plain, `
		connect
		write 100
		> S 0:0
		+5 < S 0:0 mss 1000
		> S. 0:0 ack 1
		+5 < S. 0:0 ack 1 mss 1000
		> P. 1:101 ack 1
		state ESTABLISHED
		closewrite
		> F. 101:101
		< F. 1:1 ack 1 # both close at once, and neither has the other's FIN
		> . 102:102 ack 2
		state CLOSING
		< . 2:2 ack 102
		state TIME-WAIT`)
}

// TestPacingSpreadsTheWindow holds that no more leaves in a millisecond than the rate
// allows, and that pacing costs no throughput.
func TestPacingSpreadsTheWindow(t *testing.T) {
	cfg := sized(Config{Pacing: true})
	most, sent, from := 0, 0, int64(0)
	p := path{delay: 20 * millisecond, rate: 12_500_000, queue: 1 << 20}
	p.drop = func(s *sim, who int, x *Send) bool {
		if who == 0 {
			if s.now-from >= millisecond {
				from, sent = s.now, 0
			}
			if sent += x.Len; s.now-begin > second {
				most = max(most, sent)
			}
		}
		return false
	}
	s := newSim(t, 1, p, cfg, cfg, [2]int{20_000_000, 0})
	took := s.run(60 * second)
	rate := s.p[0].c.pace.rate(s.p[0].c)
	if bound := int(2*rate/1000) + 2*cfg.MSS; most > bound {
		t.Errorf("%d bytes left in a millisecond, of a rate of %d bytes a second", most, rate)
	}
	if took > 3*second {
		t.Errorf("20 MB at 12.5 MB/s took %.2f s", float64(took)/second)
	}
}

// TestReceiveBufferGrowsWithThePath holds auto-tuning to the product of rate and round
// trip: a long fat path is filled, a slow reader's buffer stays small.
func TestReceiveBufferGrowsWithThePath(t *testing.T) {
	cfg := sized(Config{})
	p := path{delay: 20 * millisecond, rate: 50_000_000, queue: 4 << 20} // 2 MB on its way
	s := newSim(t, 1, p, cfg, cfg, [2]int{60_000_000, 0})
	took := s.run(60 * second)
	if limit := s.p[1].c.limit; limit < 2_000_000 || limit > cfg.ReceiveMax {
		t.Errorf("the buffer is %d bytes for a path that holds 2 MB", limit)
	}
	if took > 3*second {
		t.Errorf("60 MB at 50 MB/s took %.2f s", float64(took)/second)
	}
	s = newSim(t, 1, p, cfg, cfg, [2]int{1_000_000, 0})
	s.p[1].readStep, s.p[1].readWait = 10_000, 20*millisecond
	s.run(60 * second)
	if limit := s.p[1].c.limit; limit > 2*cfg.ReceiveMin {
		t.Errorf("a reader of 500 kB/s has a buffer of %d bytes", limit)
	}
}

// TestECNKeepsTheQueueShort holds that marks take the place of losses.
func TestECNKeepsTheQueueShort(t *testing.T) {
	var again [2]uint64
	for i, ecn := range []bool{false, true} {
		cfg := sized(Config{ECN: ecn})
		p := path{delay: 5 * millisecond, rate: 12_500_000, queue: 150_000, mark: true}
		s := newSim(t, 1, p, cfg, cfg, [2]int{20_000_000, 0})
		took := s.run(60 * second)
		c := s.p[0].c
		if again[i] = c.Stats.RetransSegs; c.ecn != ecn {
			t.Errorf("asked for ECN %v: agreed on %v", ecn, c.ecn)
		}
		if took > 3*second {
			t.Errorf("ECN %v: 20 MB at 12.5 MB/s took %.2f s", ecn, float64(took)/second)
		}
	}
	if again[1] > again[0]/10 {
		t.Errorf("%d segments sent again without ECN, %d with it", again[0], again[1])
	}
}
