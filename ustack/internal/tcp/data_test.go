package tcp

import "testing"

func TestDelayedACK(t *testing.T) {
	c := run(t, plain, opened)
	c.quick = 0
	runFrom(t, c, plain, `
		< P. 1:101 ack 1
		nothing
		+40 > . 1:1 ack 101
		< . 101:1101 ack 1
		nothing
		< . 1101:2101 ack 1 # every second full segment
		> . 1:1 ack 2101
		< P. 2101:2201 ack 1
		write 10 # carries it
		> P. 1:11 ack 2201
		+40 < . 2201:2201 ack 11
		nothing`)
}

func TestEarlySegmentsAreAcknowledgedAtOnce(t *testing.T) {
	run(t, plain, opened+`
		< P. 1:101 ack 1
		> . 1:1 ack 101`)
}

// TestAnswerCarriesTheACK wants no segment for an acknowledgement that the application's
// answer can carry, but one where there is no answer, and where it is urgent.
func TestAnswerCarriesTheACK(t *testing.T) {
	run(t, plain, opened+`
		hold
		< P. 1:101 ack 1
		nothing
		write 10
		> P. 1:11 ack 101
		nothing
		< P. 101:1101 ack 11
		nothing
		release
		> . 11:11 ack 1101
		hold
		< P. 1201:1301 ack 11 # out of order
		> . 11:11 ack 1101 sack 1201:1301
		< P. 1101:1201 ack 11
		> . 11:11 ack 1301
		< F. 1301:1301 ack 11
		nothing
		closewrite
		> F. 11:11 ack 1302`)
	run(t, plain, `
		connect
		> S 0:0
		hold
		< S. 0:0 ack 1 mss 1000
		nothing
		release
		> . 1:1 ack 1`)
}

func TestNagle(t *testing.T) {
	run(t, plain, opened+`
		write 100
		> P. 1:101
		write 100
		nothing
		write 900
		> P. 101:1101 # full
		< . 1:1 ack 1101
		write 10
		> P. 1101:1111
		write 10
		nothing
		< . 1:1 ack 1111
		> P. 1111:1121`)
	run(t, Config{NoTimestamp: true, NoDelay: true}, opened+`
		write 100
		> P. 1:101
		write 100
		> P. 101:201`)
}

func TestInitialWindowIsTenSegments(t *testing.T) {
	c := run(t, Config{NoTimestamp: true, MSS: 1000, BurstMax: 100000}, opened+`
		cwnd 10000
		write 50000
		> . 1:10001
		nothing
		+10 < . 1:1 ack 10001
		cwnd 20000
		> . 10001:30001`)
	if !c.cc.slowStart() {
		t.Error("left slow start without a loss")
	}
}

func TestBurstsAreOfWholeSegments(t *testing.T) {
	run(t, Config{NoTimestamp: true, BurstMax: 64000}, opened+`
		write 2500
		> P. 1:2501 # nothing small is outstanding (Minshall)
		write 2500
		> . 2501:4501 # the tail waits for the acknowledgement
		nothing
		< . 1:1 ack 2501
		> P. 4501:5001`)
}

func TestCongestionWindowDoesNotGrowUnused(t *testing.T) {
	c := run(t, plain, opened)
	for i := range 50 {
		c.Write(100)
		var o Out
		c.Output(begin+int64(i)*10*millisecond, &o)
		s := Segment{Seq: 1, Ack: uint32(1 + 100*(i+1)), Flags: 16, Window: 65535, Options: noOptions()}
		c.Arrive(begin+int64(i)*10*millisecond+millisecond, &s, &o)
	}
	if c.cc.cwnd != 10000 {
		t.Errorf("congestion window grew to %d on 100 bytes a round trip (RFC 7661)", c.cc.cwnd)
	}
}

func TestSillyWindowIsNotOffered(t *testing.T) {
	cfg := Config{NoTimestamp: true, ReceiveMin: 5000, ReceiveMax: 5000}
	run(t, cfg, `
		connect
		> S 0:0 win 5000
		< S. 0:0 ack 1 win 20000 mss 1000
		> . 1:1 win 5000
		< . 1:1001 ack 1
		> . 1:1 ack 1001 win 4000
		< . 1001:5001 ack 1
		> . 1:1 ack 5001 win 0
		read 400
		nothing
		read 599
		nothing
		read 1
		> . 1:1 ack 5001 win 1000 # room for a segment
		`)
}

func TestSenderAvoidsSillyWindows(t *testing.T) {
	run(t, plain, opened+`
		write 5000
		> . 1:1001
		> . 1001:2001
		> . 2001:3001
		> . 3001:4001
		> P. 4001:5001
		< . 1:1 ack 5001 win 200
		write 5000
		nothing
		+209 > . 5001:5201 # the override timeout
		< . 1:1 ack 5201 win 20000
		> . 5201:6201
		> . 6201:7201
		> . 7201:8201
		> . 8201:9201
		> P. 9201:10001`)
}

func TestZeroWindowIsProbedWithBackingOff(t *testing.T) {
	run(t, plain, opened+`
		< . 1:1 ack 1 win 0
		write 100
		nothing
		+210 > . 0:0
		< . 1:1 ack 1 win 0
		+420 > . 0:0
		< . 1:1 ack 1 win 0
		+840 > . 0:0
		+10 < . 1:1 ack 1 win 1000
		> P. 1:101`)
}

func TestShrunkWindowDoesNotStall(t *testing.T) {
	// google/gvisor 9153: what was sent under a window that was then taken back.
	run(t, plain, opened+`
		write 4000
		> . 1:1001
		> . 1001:2001
		> . 2001:3001
		> P. 3001:4001
		< . 1:1 ack 1001 win 0
		+20 > P. 3001:4001 # tail loss probe
		state ESTABLISHED
		+209 > . 1001:2001
		+10 < . 1:1 ack 2001 win 4000
		> . 2001:3001
		> P. 3001:4001`)
	c := run(t, Config{NoTimestamp: true, NoRACK: true}, opened+`
		write 4000
		> . 1:1001
		> . 1001:2001
		> . 2001:3001
		> P. 3001:4001
		< . 1:1 ack 1001 win 0
		+209 > . 1001:2001 # beyond the window, one segment
		+418 > . 1001:2001
		+10 < . 1:1 ack 2001 win 4000
		> . 2001:3001
		> P. 3001:4001
		< . 1:1 ack 4001 win 4000
		nothing`)
	if c.recs.n() != 0 {
		t.Error("bytes are still outstanding")
	}
}

func TestSegmentsBeyondTheWindowAreCut(t *testing.T) {
	cfg := Config{NoTimestamp: true, ReceiveMin: 2000, ReceiveMax: 2000}
	run(t, cfg, `
		connect
		> S 0:0 win 2000
		< S. 0:0 ack 1 win 20000 mss 1000
		> . 1:1
		< FP. 1:3001 ack 1
		> . 1:1 ack 2001 win 0
		got 2000
		state ESTABLISHED # the FIN was cut off
		read 2000
		> . 1:1 ack 2001 win 2000
		< FP. 2001:3001 ack 1
		> . 1:1 ack 3002
		state CLOSE-WAIT`)
}

func TestKeepAlive(t *testing.T) {
	cfg := Config{NoTimestamp: true, KeepIdle: 10 * second, KeepInterval: second, KeepCount: 2}
	run(t, cfg, opened+`
		+9999 nothing
		+1 > . 0:0 ack 1
		< . 1:1 ack 1
		+10000 > . 0:0
		+1000 > . 0:0
		+1000 > R. 1:1
		error 3`)
}

func TestUserTimeout(t *testing.T) {
	run(t, Config{NoTimestamp: true, NoRACK: true, UserTimeout: second}, opened+`
		write 100
		> P. 1:101
		+210 > P. 1:101
		+420 > P. 1:101
		+840 > R. 101:101
		error 3`)
}

func TestUserTimeoutOfAClosedWindow(t *testing.T) {
	run(t, Config{NoTimestamp: true, UserTimeout: second}, opened+`
		< . 1:1 ack 1 win 0
		write 100
		+210 > . 0:0
		+420 > . 0:0
		+840 > R. 1:1
		error 3`)
}

func TestIdleConnectionStartsSlowly(t *testing.T) {
	c := run(t, Config{NoTimestamp: true, BurstMax: 100000}, opened)
	c.wnd, c.cc.cwnd = 1<<20, 80000
	runFrom(t, c, Config{}, `
		+3000 write 100000
		> . 1:10001
		nothing`)
}
