package tcp

import "testing"

// opened begins a script with an active open, no timestamps, peer's window w.
const opened = `
	connect
	> S 0:0 mss 1000 ws 0 sackok
	+10 < S. 0:0 ack 1 win 20000 mss 1000 sackok
	> . 1:1 ack 1
	state ESTABLISHED
`

var plain = Config{NoTimestamp: true}

func TestActiveOpen(t *testing.T) { run(t, plain, opened+"nothing") }

func TestPassiveOpen(t *testing.T) {
	run(t, Config{}, `
		accept mss 1000 sackok ws 7 ts 100 0
		> S. 0:0 ack 1 mss 1000 sackok ts 0 100
		+10 < . 1:1 ack 1 win 512 ts 110 1000000
		state ESTABLISHED
		nothing`)
}

func TestOptionsOnlyIfBothWant(t *testing.T) {
	c := run(t, Config{ReceiveMin: 65535, ReceiveMax: 1 << 20}, `
		accept mss 500
		> S. 0:0 ack 1 mss 1000 ws -1
		< . 1:1 ack 1 win 30000
		state ESTABLISHED`)
	if c.timestamps || c.sack || c.rcvScale != 0 || c.mss != 500 || c.wnd != 30000 {
		t.Errorf("timestamps %v sack %v scale %d mss %d window %d", c.timestamps, c.sack, c.rcvScale, c.mss, c.wnd)
	}
}

func TestSYNIsSentAgainAndGivenUp(t *testing.T) {
	run(t, plain, `
		connect
		> S 0:0
		+1000 > S 0:0
		+2000 > S 0:0
		+4000 > S 0:0
		+8000 > S 0:0
		+16000 > S 0:0
		+32000 > S 0:0
		+64000 state CLOSED
		error 3
		ended
		nothing`)
}

func TestSYNACKIsSentAgain(t *testing.T) {
	run(t, plain, `
		accept mss 1000
		> S. 0:0
		+1000 > S. 0:0
		+10 < S 0:0 mss 1000 # the peer asks again
		> S. 0:0
		+10 < . 1:1 ack 1
		state ESTABLISHED
		nothing`)
}

func TestRefusedByRST(t *testing.T) {
	run(t, plain, `
		connect
		> S 0:0
		< R 0:0 # no ACK: not believed
		state SYN-SENT
		< R. 0:0 ack 2 # of something never sent
		state SYN-SENT
		< R. 0:0 ack 1
		state CLOSED
		error 2`)
}

func TestSimultaneousOpen(t *testing.T) {
	run(t, plain, `
		connect
		> S 0:0
		+5 < S 0:0 mss 1000
		> S. 0:0 ack 1
		state SYN-RECEIVED
		+5 < S. 0:0 ack 1 mss 1000
		state ESTABLISHED
		write 100
		> P. 1:101 ack 1`)
}

func TestDataBeforeTheHandshakeIsDone(t *testing.T) {
	run(t, plain, `
		accept mss 1000
		> S. 0:0
		< P. 1:101 ack 1 # the lone ACK was lost
		state ESTABLISHED
		> . 1:1 ack 101
		got 100`)
}

func TestHalfClose(t *testing.T) {
	run(t, plain, opened+`
		write 10
		> P. 1:11
		closewrite
		> F. 11:11
		state FIN-WAIT-1
		+10 < . 1:1 ack 12
		state FIN-WAIT-2
		+10 < P. 1:501 ack 12 # the other half goes on
		+40 > . 12:12 ack 501 # it looks like a short reply
		got 500
		+10 < F. 501:501 ack 12
		> . 12:12 ack 502
		state TIME-WAIT
		+59999 state TIME-WAIT
		+1 state CLOSED
		error 0`)
}

func TestPassiveClose(t *testing.T) {
	run(t, plain, opened+`
		< F. 1:1 ack 1
		> . 1:1 ack 2
		state CLOSE-WAIT
		write 10
		> P. 1:11 ack 2
		closewrite
		> F. 11:11 ack 2
		state LAST-ACK
		< . 2:2 ack 12
		state CLOSED
		error 0`)
}

func TestSimultaneousClose(t *testing.T) {
	run(t, plain, opened+`
		closewrite
		> F. 1:1 ack 1
		< F. 1:1 ack 1
		state CLOSING
		> . 2:2 ack 2
		< . 2:2 ack 2
		state TIME-WAIT`)
}

func TestFINWithTheLastBytes(t *testing.T) {
	run(t, plain, opened+`
		write 10
		> P. 1:11
		write 500
		nothing
		closewrite
		> FP. 11:511
		< . 1:1 ack 512
		state FIN-WAIT-2`)
}

func TestFINOutOfOrder(t *testing.T) {
	run(t, plain, opened+`
		< FP. 1001:1501 ack 1
		> . 1:1 ack 1 sack 1001:1501
		state ESTABLISHED
		< . 1:1001 ack 1
		> . 1:1 ack 1502
		state CLOSE-WAIT
		got 1500`)
}

func TestFINIsSentAgain(t *testing.T) {
	run(t, plain, opened+`
		closewrite
		> F. 1:1
		+72 > F. 1:1 # tail loss probe: two round trips, a delayed ACK
		+210 > F. 1:1 # timeout
		+420 > F. 1:1
		state FIN-WAIT-1
		< . 1:1 ack 2
		state FIN-WAIT-2`)
}

func TestTimeWaitAnswersAFINAndIsReused(t *testing.T) {
	c := run(t, plain, opened+`
		closewrite
		> F. 1:1
		< F. 1:1 ack 2
		> . 2:2 ack 2
		state TIME-WAIT
		+30000 < F. 1:1 ack 2 # our ACK was lost
		> . 2:2 ack 2
		+59000 state TIME-WAIT # the time began anew
		< R 2:2 # RFC 1337
		state TIME-WAIT`)
	s := Segment{Seq: 1, Flags: 2, Options: noOptions()}
	var o Out
	if c.Arrive(0, &s, &o); o.Events&Reuse != 0 {
		t.Error("an old SYN ends TIME-WAIT")
	}
	s.Seq = 5000
	if c.Arrive(0, &s, &o); o.Events&Reuse == 0 {
		t.Error("a new SYN does not end TIME-WAIT")
	}
}

func TestOrphanInFinWait2IsForgotten(t *testing.T) {
	run(t, plain, opened+`
		close
		> F. 1:1
		< . 1:1 ack 2
		state FIN-WAIT-2
		+60000 state CLOSED`)
}

func TestCloseWithUnreadBytesResets(t *testing.T) {
	run(t, plain, opened+`
		< P. 1:11 ack 1
		> . 1:1 ack 11
		close
		> R. 1:1 ack 11
		state CLOSED`)
}

func TestBytesAfterCloseAreReset(t *testing.T) {
	run(t, plain, opened+`
		close
		> F. 1:1
		< P. 1:11 ack 2
		> R. 2:2
		state CLOSED`)
}

func TestAbort(t *testing.T) {
	run(t, plain, opened+`
		write 10
		> P. 1:11
		abort
		> R. 11:11
		error 4`)
}
