package tcp

import (
	"strings"
	"testing"
)

// noSACK is opened with a peer that has no SACK.
var noSACK = strings.ReplaceAll(opened, " sackok", "")

// ten sends ten segments of 1000 bytes, the initial window.
const ten = `
	write 10000
	> . 1:1001
	> . 1001:2001
	> . 2001:3001
	> . 3001:4001
	> . 4001:5001
	> . 5001:6001
	> . 6001:7001
	> . 7001:8001
	> . 8001:9001
	> P. 9001:10001
`

func TestFastRetransmitWithSACK(t *testing.T) {
	for name, cfg := range map[string]Config{"RACK": plain, "RFC 6675": {NoTimestamp: true, NoRACK: true}} {
		t.Run(name, func(t *testing.T) {
			c := run(t, cfg, opened+ten+`
				+10 < . 1:1 ack 1 win 20000 sack 1001:2001
				nothing
				< . 1:1 ack 1 win 20000 sack 1001:3001
				nothing
				< . 1:1 ack 1 win 20000 sack 1001:4001
				> . 1:1001
				< . 1:1 ack 1 win 20000 sack 1001:10001
				nothing
				+10 < . 1:1 ack 10001 win 20000
				nothing
				cwnd 7000`) // CUBIC: 0.7 of it
			if c.loss.phase != open || c.Stats.RetransSegs != 1 || c.Stats.RTOs != 0 {
				t.Errorf("phase %v, %d retransmissions, %d timeouts", c.loss.phase, c.Stats.RetransSegs, c.Stats.RTOs)
			}
		})
	}
}

func TestFastRetransmitWithoutSACK(t *testing.T) {
	c := run(t, Config{NoTimestamp: true, NoSACK: true, Congestion: NewReno}, noSACK+ten+`
		+10 < . 1:1 ack 1 win 20000
		< . 1:1 ack 1 win 20000
		nothing
		< . 1:1 ack 1 win 20000
		> . 1:1001
		+10 < . 1:1 ack 4001 win 20000 # partial: the next hole (RFC 6582)
		> . 4001:5001
		+10 < . 1:1 ack 10001 win 20000
		cwnd 5000
		nothing`)
	if c.loss.phase != open || c.Stats.RTOs != 0 || c.Stats.Recoveries != 1 {
		t.Errorf("phase %v, %d timeouts, %d recoveries", c.loss.phase, c.Stats.RTOs, c.Stats.Recoveries)
	}
}

func TestRACKWaitsForReordering(t *testing.T) {
	c := run(t, plain, opened+`
		write 2000
		> . 1:1001
		> P. 1001:2001
		+10 < . 1:1 ack 1 win 20000 sack 1001:2001
		nothing # one overtook: wait a quarter of a round trip
		+1 < . 1:1 ack 2001 win 20000
		nothing`)
	if c.Stats.RetransSegs != 0 || !c.loss.reordered {
		t.Errorf("%d retransmissions, reordering seen: %v", c.Stats.RetransSegs, c.loss.reordered)
	}
}

func TestRACKAtATinyWindow(t *testing.T) {
	// google/gvisor 9778: with fewer segments than duplicates are wanted.
	c := run(t, plain, opened+`
		write 2000
		> . 1:1001
		> P. 1001:2001
		+10 < . 1:1 ack 1 win 20000 sack 1001:2001
		+2.5 > . 1:1001
		+10 < . 1:1 ack 2001 win 20000
		nothing`)
	if c.Stats.RTOs != 0 {
		t.Error("it took a timeout")
	}
}

func TestRACKAtATinyRoundTrip(t *testing.T) {
	// google/gvisor 10243: round trips of microseconds.
	c := run(t, plain, `
		connect
		> S 0:0
		+0.02 < S. 0:0 ack 1 win 20000 mss 1000 sackok
		> . 1:1
		write 4000
		> . 1:1001
		> . 1001:2001
		> . 2001:3001
		> P. 3001:4001
		+0.02 < . 1:1 ack 1 win 20000 sack 1001:2001
		+0.01 > . 1:1001
		+0.02 < . 1:1 ack 4001 win 20000
		nothing`)
	if c.Stats.RTOs != 0 || c.rtt.rto < rtoMin {
		t.Errorf("%d timeouts, RTO %d ns", c.Stats.RTOs, c.rtt.rto)
	}
}

func TestRACKFindsALostRetransmission(t *testing.T) {
	c := run(t, plain, opened+ten+`
		+10 < . 1:1 ack 1 win 20000 sack 1001:9001
		> . 1:1001
		+1 write 2000
		> . 10001:11001
		> P. 11001:12001
		+10 < . 1:1 ack 1 win 20000 sack 1001:12001 # what was sent after it has arrived
		> . 1:1001
		+10 < . 1:1 ack 12001 win 20000
		nothing`)
	if c.Stats.RTOs != 0 {
		t.Error("it took a timeout")
	}
}

func TestTailLossProbe(t *testing.T) {
	c := run(t, plain, opened+`
		write 3000
		> . 1:1001
		> . 1001:2001
		> P. 2001:3001
		+22 > P. 2001:3001 # two round trips
		+10 < . 1:1 ack 1 win 20000 sack 2001:3001
		> . 1:1001
		> . 1001:2001
		+10 < . 1:1 ack 3001 win 20000
		nothing`)
	if c.Stats.TLPs != 1 || c.Stats.RTOs != 0 {
		t.Errorf("%d probes, %d timeouts", c.Stats.TLPs, c.Stats.RTOs)
	}
}

func TestTailLossProbeSendsNewBytesIfItCan(t *testing.T) {
	run(t, plain, opened+`
		< . 1:1 ack 1 win 1500
		write 2000
		> . 1:1001
		+72 > . 1001:1501
		+10 < . 1:1 ack 1501 win 20000
		> P. 1501:2001`)
}

func TestRetransmissionTimeoutAndUndo(t *testing.T) {
	cfg := Config{NoRACK: true}
	opened := `
		connect
		> S 0:0 ts 0 0
		+10 < S. 0:0 ack 1 win 20000 mss 1012 sackok ts 500 1000000
		> . 1:1 ack 1 ts 0 500
	`
	c := run(t, cfg, opened+`
		write 988
		> P. 1:989
		+210 > P. 1:989
		+420 > P. 1:989
		cwnd 988
		+10 < . 1:1 ack 989 win 20000 ts 600 1000650
		state ESTABLISHED`)
	if c.Stats.RTOs != 2 || c.Stats.Undos != 0 || c.rtt.rto > second {
		t.Errorf("%d timeouts, %d undone, RTO %d ms", c.Stats.RTOs, c.Stats.Undos, c.rtt.rto/millisecond)
	}
	c = run(t, cfg, opened+`
		write 1976
		> . 1:989
		> P. 989:1977
		+210 > . 1:989
		+10 < . 1:1 ack 1977 win 20000 ts 600 1000010 # an answer to the first transmission
		cwnd 9880
		nothing`)
	if c.Stats.Undos != 1 || c.Stats.RetransSegs != 1 {
		t.Errorf("%d undone, %d sent again", c.Stats.Undos, c.Stats.RetransSegs)
	}
}

func TestTimeoutForgetsRenegedSACKs(t *testing.T) {
	run(t, Config{NoTimestamp: true, NoRACK: true}, opened+`
		write 3000
		> . 1:1001
		> . 1001:2001
		> P. 2001:3001
		+10 < . 1:1 ack 1 win 20000 sack 1001:3001
		+10 < . 1:1 ack 1001 win 20000 # the peer threw the rest away
		+212 > . 1001:2001
		+10 < . 1:1 ack 2001 win 20000
		> P. 2001:3001`)
}

func TestDSACKIsSentForOldAndRepeatedBytes(t *testing.T) {
	run(t, plain, opened+`
		< . 1:1001 ack 1
		> . 1:1 ack 1001
		< . 1:1001 ack 1
		> . 1:1 ack 1001 sack 1:1001
		< . 2001:3001 ack 1
		> . 1:1 ack 1001 sack 2001:3001
		< . 2001:3001 ack 1
		> . 1:1 ack 1001 sack 2001:3001 2001:3001
		< . 4001:5001 ack 1
		> . 1:1 ack 1001 sack 4001:5001 2001:3001
		< . 1001:2001 ack 1
		> . 1:1 ack 3001 sack 4001:5001
		got 3000`)
}

func TestDSACKWidensTheReorderingWindow(t *testing.T) {
	c := run(t, plain, opened+ten+`
		+10 < . 1:1 ack 1 win 20000 sack 1001:5001
		> . 1:1001
		< . 1:1 ack 5001 win 20000
		+5 < . 1:1 ack 5001 win 20000 sack 1:1001 # it was not lost
		nothing`)
	if c.Stats.DSACKsIn != 1 || !c.loss.reordered || c.loss.widen == 0 {
		t.Errorf("DSACKs %d, reordering %v, widened by %d", c.Stats.DSACKsIn, c.loss.reordered, c.loss.widen)
	}
}

func TestUnknownSACKBlocksAreIgnored(t *testing.T) {
	c := run(t, plain, opened+ten+`
		+10 < . 1:1 ack 1 win 20000 sack 20001:30001 5001:4001
		nothing`)
	if c.recs.sacked != 0 {
		t.Errorf("%d bytes marked", c.recs.sacked)
	}
}

func TestOutOfOrderBytesFillAQuarterAndMore(t *testing.T) {
	// google/gvisor 6113 and 10312: most of the receive buffer out of order.
	cfg := Config{NoTimestamp: true, ReceiveMin: 20000, ReceiveMax: 20000}
	run(t, cfg, `
		accept mss 1000 sackok
		> S. 0:0
		< . 1:1 ack 1
		< . 1001:19001 ack 1
		> . 1:1 ack 1 sack 1001:19001
		< . 19001:20001 ack 1
		> . 1:1 ack 1 sack 1001:20001
		< . 1:1001 ack 1
		> . 1:1 ack 20001 win 0
		got 20000
		read 20000
		> . 1:1 ack 20001 win 20000`)
}

func TestOverlapsKeepWhatCameFirst(t *testing.T) {
	c := run(t, plain, opened+`
		< . 2001:3001 ack 1
		> . 1:1 ack 1 sack 2001:3001
		< . 1501:3501 ack 1 # covers it
		> . 1:1 ack 1 sack 2001:3001 1501:3501
		< . 1001:2001 ack 1
		> . 1:1 ack 1 sack 1501:2001 1001:3501
		< . 1:1201 ack 1
		> . 1:1 ack 3501
		got 3500`)
	if c.ooo.frames.N != 0 || c.ooo.memory != 0 {
		t.Errorf("%d frames, %d bytes left", c.ooo.frames.N, c.ooo.memory)
	}
}

func TestDuplicatesForPeersWithoutSACK(t *testing.T) {
	run(t, Config{NoTimestamp: true, NoSACK: true}, noSACK+`
		< . 1001:2001 ack 1
		> . 1:1 ack 1
		< . 2001:3001 ack 1
		> . 1:1 ack 1
		< . 1:1001 ack 1
		> . 1:1 ack 3001`)
}
