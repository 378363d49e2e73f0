package load

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/hist"
)

// wire is a link whose far end is the test.
type wire struct {
	Null     nullEnd
	sent     [][]byte // by the flow, oldest first
	incoming [][]byte
}

func (w *wire) Send(b []byte) (int, unix.Errno) {
	w.sent = append(w.sent, bytes.Clone(b))
	return len(b), 0
}

func (w *wire) Recv(b []byte) (int, unix.Errno) {
	if len(w.incoming) == 0 {
		return 0, unix.EAGAIN
	}
	n := copy(b, w.incoming[0])
	w.incoming = w.incoming[1:]
	return n, 0
}

func (w *wire) Info() SocketInfo { return SocketInfo{} }
func (w *wire) Abort()           {}
func (w *wire) Close()           {}

// asking is a client of rr over datagrams with a link of its own.
func asking(t *testing.T, f FlowSpec) (*Flow, *wire) {
	t.Helper()
	f.Transport = UDP
	if err := f.fits("rr"); err != nil {
		t.Fatal(err)
	}
	w := &wire{}
	flow := newFlow(&f, 0, &Spec{Role: Client, Workload: "rr", Model: Thread}, w, &Slot{})
	flow.use(newBuffers([]*Flow{flow}, &hist.Hist{}))
	return flow, w
}

func turnOf(t *testing.T, f *Flow) {
	t.Helper()
	if _, errno := (rr{}).Client(f); errno != unix.EAGAIN {
		t.Fatalf("the turn ended with %v", errno)
	}
}

// TestLateAnswer gives up a request and then gets its answer: it is not taken for that of the
// request that came after.
func TestLateAnswer(t *testing.T) {
	for _, size := range []int{1, 2, 64} {
		f, w := asking(t, FlowSpec{MessageBytes: size})
		turnOf(t, f)
		late := w.sent[0]
		f.asked.slots[0].sent -= 2 * patience.Nanoseconds() // so much time has passed
		f.asked.oldest = f.asked.slots[0].sent
		turnOf(t, f)
		if f.Lost != 1 || len(w.sent) != 2 {
			t.Fatalf("%d bytes: %d lost, %d sent", size, f.Lost, len(w.sent))
		}
		w.incoming = [][]byte{late, late}
		turnOf(t, f)
		if f.Transactions != 0 || f.Received != 0 || f.flying != 1 {
			t.Errorf("%d bytes: a late answer was counted: %+v", size, f.Read())
		}
		began := f.asked.slots[0].begun
		w.incoming = [][]byte{w.sent[1], w.sent[1]} // and once more
		turnOf(t, f)
		if f.Transactions != 1 || f.flying != 1 || len(w.sent) != 3 {
			t.Errorf("%d bytes: %+v, %d sent", size, f.Read(), len(w.sent))
		}
		if most := clock.Now() - began; f.Latency.Max() > 2*most {
			t.Errorf("%d bytes: latency %d ns of at most %d", size, f.Latency.Max(), most)
		}
	}
}

// TestAnswersInAnyOrder loses one request of a burst: the others go on meanwhile.
func TestAnswersInAnyOrder(t *testing.T) {
	f, w := asking(t, FlowSpec{MessageBytes: 2, Burst: 8})
	turnOf(t, f)
	if len(w.sent) != 8 {
		t.Fatalf("%d sent", len(w.sent))
	}
	lost := w.sent[3]
	for round := range 20 {
		var answers [][]byte
		for _, b := range w.sent {
			if !bytes.Equal(b, lost) {
				answers = append([][]byte{b}, answers...) // the newest first
			}
		}
		w.incoming, w.sent = answers, nil
		turnOf(t, f)
		if want := uint64(7 * (round + 1)); f.Transactions != want || f.flying != 8 || len(w.sent) != 7 {
			t.Fatalf("round %d: %d transactions, want %d; %d under way, %d sent", round, f.Transactions, want, f.flying, len(w.sent))
		}
	}
	old := clock.Now() - 2*patience.Nanoseconds()
	f.asked.slots[3].sent, f.asked.oldest = old, old
	turnOf(t, f)
	if f.Lost != 1 || len(w.sent) != 8 || f.flying != 8 {
		t.Errorf("%d lost, %d sent, %d under way", f.Lost, len(w.sent), f.flying)
	}
	seen := map[string]bool{}
	for _, b := range w.sent {
		if seen[string(b)] {
			t.Errorf("two requests under way have the number %x", b[:2])
		}
		seen[string(b)] = true
	}
}

// TestNumbersOfABurst refuses what could not be told apart.
func TestNumbersOfABurst(t *testing.T) {
	for _, tc := range []struct {
		bytes, response, burst int
		fits                   bool
	}{{1, 0, 1, true}, {1, 0, 128, true}, {1, 0, 129, false}, {2, 1, 129, false}, {2, 0, 1024, true}, {1 << 10, 1 << 10, 1024, true}} {
		f := FlowSpec{Transport: UDP, MessageBytes: tc.bytes, ResponseBytes: tc.response, Burst: tc.burst}
		if err := f.fits("rr"); (err == nil) != tc.fits {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// TestAnswersRepeatNumbers plays the client of a server by hand.
func TestAnswersRepeatNumbers(t *testing.T) {
	spec := FlowSpec{Transport: UDP, MessageBytes: 4, ResponseBytes: 6}
	w := &wire{incoming: [][]byte{{1, 2, 3, 4}, {9, 8, 7}, {5, 6, 7, 8}}}
	f := newFlow(&spec, 0, &Spec{Role: Server, Workload: "rr", Model: Thread}, w, &Slot{})
	f.use(newBuffers([]*Flow{f}, &hist.Hist{}))
	if _, errno := (rr{}).Server(f); errno != unix.EAGAIN {
		t.Fatal(errno)
	}
	if len(w.sent) != 2 || !bytes.HasPrefix(w.sent[0], []byte{1, 2, 3, 4}) || !bytes.HasPrefix(w.sent[1], []byte{5, 6, 7, 8}) || len(w.sent[0]) != 6 {
		t.Errorf("answered %x: a request of a wrong length has no answer, others have their number", w.sent)
	}
}
