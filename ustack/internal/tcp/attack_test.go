package tcp

import "testing"

func TestBlindReset(t *testing.T) { // RFC 5961, 3
	run(t, plain, opened+`
		< R 2:2
		> . 1:1 ack 1
		state ESTABLISHED
		< R 70000:70000
		nothing
		< R 1:1
		state CLOSED
		error 1`)
}

func TestBlindSYN(t *testing.T) { // RFC 5961, 4
	run(t, plain, opened+`
		< S 1:1
		> . 1:1 ack 1
		< S 500:500
		> . 1:1 ack 1
		state ESTABLISHED`)
}

func TestBlindData(t *testing.T) { // RFC 5961, 5
	run(t, plain, opened+`
		< P. 1:11 ack 5000
		> . 1:1 ack 1
		< P. 1:11 ack -30000
		> . 1:1 ack 1
		got 0
		state ESTABLISHED`)
}

func TestChallengesAreLimited(t *testing.T) {
	left := 1
	cfg := Config{NoTimestamp: true, Challenge: func() bool { left--; return left >= 0 }}
	run(t, cfg, opened+`
		< R 2:2
		> . 1:1
		< R 2:2
		nothing`)
}

func TestPAWS(t *testing.T) { // RFC 7323, 5
	c := run(t, Config{}, `
		connect
		> S 0:0
		< S. 0:0 ack 1 win 20000 mss 1000 ts 1000 0
		> . 1:1 ts 0 1000
		< P. 1:11 ack 1 ts 1010 0
		> . 1:1 ack 11 ts 0 1010
		< P. 11:21 ack 1 ts 1009 0 # from the past
		> . 1:1 ack 11 ts 0 1010
		< P. 11:21 ack 1 # without timestamps, though agreed on
		nothing
		got 10`)
	if c.Stats.PAWS != 1 {
		t.Errorf("counted %d", c.Stats.PAWS)
	}
}

func TestTimestampEchoIsThatOfTheOldestUnacknowledged(t *testing.T) { // RFC 7323, 4.3
	c := run(t, Config{}, `
		connect
		> S 0:0
		< S. 0:0 ack 1 win 20000 mss 1000 ts 1000 0
		> . 1:1 ts 0 1000`)
	c.quick = 0
	runFrom(t, c, Config{}, `
		< P. 1:11 ack 1 ts 1010 0
		< P. 11:21 ack 1 ts 1020 0
		+40 > . 1:1 ack 21 ts 0 1010`)
}

func TestTinySegmentsOutOfOrderAreBounded(t *testing.T) {
	cfg := Config{NoTimestamp: true, MSS: 1000, BurstMax: 1000, ReceiveMin: 60000, ReceiveMax: 60000}
	c := run(t, cfg, opened)
	var o Out
	for i := range 29000 {
		s := tiny(uint32(3 + 2*i))
		c.Arrive(begin, &s, &o)
		c.Output(begin, &o)
		o.Reset()
	}
	if most := 2*60000 + pruneSlack + 2048; c.ooo.memory > most || c.ooo.frames.N == 0 {
		t.Errorf("%d bytes of frames kept, more than %d", c.ooo.memory, most)
	}
	runFrom(t, c, cfg, `
		< . 1:60001 ack 1
		> . 1:1 ack 60001
		got 60000`)
}

func TestACKsOfAnAttackerGrowNothing(t *testing.T) {
	// Many ACKs for parts of a segment must not open the window more than one would.
	c := run(t, plain, opened+`
		write 20000
	`)
	var o Out
	before := c.cc.cwnd
	for i := range 100 {
		s := Segment{Seq: 1, Ack: uint32(2 + i), Flags: 16, Window: 20000, Options: noOptions()}
		c.Arrive(begin+20*millisecond, &s, &o)
	}
	if c.cc.cwnd > before+100 {
		t.Errorf("the window grew from %d to %d by 100 bytes acknowledged", before, c.cc.cwnd)
	}
}

func TestECN(t *testing.T) { // RFC 3168, 6.1
	cfg := Config{NoTimestamp: true, ECN: true}
	c := run(t, cfg, `
		connect
		> SEW 0:0
		+10 < S.E 0:0 ack 1 win 20000 mss 1000
		> . 1:1
		write 10000
		> .CE 1:1001
		> .CE 1001:2001
		> .CE 2001:3001
		> .CE 3001:4001
		> .CE 4001:5001
		> .CE 5001:6001
		> .CE 6001:7001
		> .CE 7001:8001
		> .CE 8001:9001
		> P.CE 9001:10001
		+10 < .E 1:1 ack 5001
		< .E 1:1 ack 10001 # the same round trip
		cwnd 7000
		write 1000
		> P.WCE 10001:11001
		< .CE 1:1001 ack 11001
		> .E 11001:11001 ack 1001
		< .W 1001:2001 ack 11001
		> . 11001:11001 ack 2001`)
	if !c.ecn {
		t.Error("not agreed on")
	}
}

func TestECNIsNotForcedOnThePeer(t *testing.T) {
	c := run(t, Config{NoTimestamp: true, ECN: true}, `
		connect
		> SEW 0:0
		+1000 > S 0:0 # a box on the way may have dropped it for ECN
		+10 < S. 0:0 ack 1 win 20000 mss 1000
		> . 1:1
		write 10
		> P. 1:11`)
	if c.ecn {
		t.Error("agreed on")
	}
}
