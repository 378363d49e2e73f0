package kernel

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/load/wire"
)

// TestDatagrams runs every workload of UDP in each of its ways: what was sent has either
// come or is counted as lost.
func TestDatagrams(t *testing.T) {
	for name, f := range map[string]load.FlowSpec{
		"plain":     {MessageBytes: 100},
		"ipv6":      {MessageBytes: 100, Local: netip.MustParseAddrPort("[::1]:0")},
		"segments":  {MessageBytes: 14000, SegmentBytes: 1400},
		"gro":       {MessageBytes: 14100, SegmentBytes: 1400, GRO: true},
		"batch":     {MessageBytes: 100, Batch: 8},
		"burst":     {MessageBytes: 1, Burst: 16},
		"batch-gro": {MessageBytes: 14000, SegmentBytes: 1400, Batch: 4, GRO: true},
	} {
		for _, workload := range []string{"stream", "maerts", "bidir", "rr"} {
			if f.Burst > 0 && workload != "rr" || workload == "rr" && (f.SegmentBytes > 0 || f.Batch > 0) {
				continue
			}
			for _, model := range models {
				few := name != "plain" && name != "batch-gro"
				if (few || testing.Short()) && (workload == "bidir" || workload == "maerts") || testing.Short() && few && workload == "rr" {
					continue
				}
				t.Run(fmt.Sprint(name, "-", workload, "-", model), func(t *testing.T) {
					f.Transport, f.Count, f.ReceiveBufferBytes, f.NoDelay, f.Congestion = load.UDP, 3, 1<<20, true, "cubic"
					r := carry(t, workload, model, f, nil)
					switch workload {
					case "stream":
						arrived(t, f, r.clients, r.servers, r.serverEnds)
					case "maerts":
						arrived(t, f, r.servers, r.clients, r.clientEnds)
					case "bidir":
						if r.server.Datagrams == 0 || r.client.Datagrams == 0 {
							t.Errorf("server %+v, client %+v", r.server, r.client)
						}
					case "rr":
						if r.client.Lost == 0 && f.Burst == 0 { // a burst leaves answers under way
							r.agree(t)
						}
						if c := r.client; c.Transactions == 0 || c.Datagrams == 0 || c.Received/uint64(f.MessageBytes) != c.Transactions {
							t.Errorf("client %+v", c)
						}
					}
				})
			}
		}
	}
}

// arrived holds each flow's datagrams sent against those that came and those that the receiver
// missed. The last ones may be lost without its knowledge, by a full socket.
func arrived(t *testing.T, f load.FlowSpec, sent, received []load.Tally, ends []load.End) {
	t.Helper()
	each := f.MessageBytes
	datagrams := uint64(1)
	if f.SegmentBytes > 0 {
		datagrams = uint64((each + f.SegmentBytes - 1) / f.SegmentBytes)
	}
	for _, e := range ends {
		s, r := sent[e.ID], received[e.ID]
		n := s.Sent / uint64(each) * datagrams
		if s.Sent%uint64(each) != 0 || r.Datagrams == 0 || r.Reordered != 0 {
			t.Errorf("flow %d: sent %+v, received %+v", e.ID, s, r)
		}
		dropped := e.Socket.Drops // with GRO, the message of several is dropped as one
		if f.GRO {
			dropped *= datagrams
		}
		if known := r.Datagrams + r.Lost; known > n || r.Datagrams+dropped != n {
			t.Errorf("flow %d: %d sent, %d came, %d lost, the socket dropped %d", e.ID, n, r.Datagrams, r.Lost, dropped)
		}
		if r.Jitter > uint64(time.Second) {
			t.Errorf("flow %d: jitter %d ns", e.ID, r.Jitter)
		}
	}
}

// TestRefusedSegments names the field that the kernel would choke on.
func TestRefusedSegments(t *testing.T) {
	for want, f := range map[string]load.FlowSpec{
		"segment_bytes: 65490":  {MessageBytes: 65507, SegmentBytes: 65490, Local: netip.MustParseAddrPort("[::1]:0")},
		"message_bytes: 66000":  {MessageBytes: 66000, SegmentBytes: 1000},
		"message_bytes: 60000":  {MessageBytes: 60000, SegmentBytes: 16},
		"message_bytes: 1410":   {MessageBytes: 1410, SegmentBytes: 1400},
		"send_method, receive_": {MessageBytes: 100, SendMethod: load.ZeroCopy},
	} {
		f.Transport = load.UDP
		if _, err := try(t, "stream", load.Thread, f, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// TestRendezvous plays the client by hand: no answer without the token, none longer than
// the question, the same one again when asked again; strangers never reach the flow's
// socket.
func TestRendezvous(t *testing.T) {
	f := &load.FlowSpec{ID: 5, Count: 2, Transport: load.UDP, Token: load.NewToken(), MessageBytes: 64, Local: netip.MustParseAddrPort("127.0.0.1:0")}
	l, err := Engine{}.Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type accepted struct {
		id  int
		t   load.Transport
		err error
	}
	got := make(chan accepted, 1)
	go func() {
		id, tr, err := l.Accept(load.DialOptions{Timeout: 5 * time.Second, Numbered: true})
		got <- accepted{id, tr, err}
	}()
	stranger, client := dial(t, l.Address()), dial(t, l.Address())
	buf := make([]byte, 2048)
	wrong := *f
	wrong.Token = load.NewToken()
	for _, b := range [][]byte{make([]byte, 1400), wire.Hello.Bytes(&wrong, 5), wire.Hello.Bytes(f, 7), wire.Thanks.Bytes(f, 5), wire.Hello.Bytes(f, 5)[:20], {}} {
		if _, err := stranger.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	_ = stranger.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := stranger.Read(buf); err == nil {
		t.Errorf("a stranger was answered with %d bytes", n)
	}
	for range 2 { // the first answer might be lost
		if _, err := client.Write(wire.Hello.Bytes(f, 5)); err != nil {
			t.Fatal(err)
		}
		_ = client.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := client.Read(buf)
		if id, kind, ok := wire.Called(f, buf[:n]); err != nil || !ok || id != 5 || kind != wire.Welcome {
			t.Fatalf("answered %x (%v)", buf[:n], err)
		}
	}
	if _, err := client.Write(wire.Thanks.Bytes(f, 5)); err != nil {
		t.Fatal(err)
	}
	a := <-got
	if a.err != nil || a.id != 5 {
		t.Fatalf("flow %d, %v", a.id, a.err)
	}
	defer a.t.Close()
	tally := &load.Tally{}
	a.t.(load.Counted).Count(tally)
	for n := range 3 {
		_, _ = stranger.Write(make([]byte, 64))
		b := make([]byte, 64)
		binary.BigEndian.PutUint64(b, uint64(2*n))
		if _, err := client.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	in := make([]byte, 2048)
	for got, end := 0, time.Now().Add(5*time.Second); got < 3; {
		n, errno := a.t.Recv(in)
		switch {
		case n == 64 && errno == 0:
			got++
		case errno != unix.EAGAIN || time.Now().After(end): // a signal of Go's may interrupt it
			t.Fatalf("received %d bytes (%v)", n, errno)
		}
	}
	if n, errno := a.t.Recv(in); errno != unix.EAGAIN {
		t.Errorf("a stranger's %d bytes (%v)", n, errno)
	}
	if tally.Datagrams != 3 || tally.Lost != 2 {
		t.Errorf("%+v: want 3 datagrams, 2 lost", tally)
	}
}

func dial(t *testing.T, to string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestLostThanks lets the server take a silent client for satisfied.
func TestLostThanks(t *testing.T) {
	f := &load.FlowSpec{Transport: load.UDP, Token: load.NewToken(), MessageBytes: 64, Local: netip.MustParseAddrPort("127.0.0.1:0")}
	l, err := Engine{}.Listen(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := dial(t, l.Address())
	if _, err := client.Write(wire.Hello.Bytes(f, 0)); err != nil {
		t.Fatal(err)
	}
	_, tr, err := l.Accept(load.DialOptions{Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	tr.Close()
}

// FuzzGROSegment reads what the kernel never wrote.
func FuzzGROSegment(f *testing.F) {
	f.Add([]byte("\x18\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x68\x00\x00\x00\x78\x05\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := groSegment(b); n < 0 || n > 1<<31-1 {
			t.Errorf("segments of %d bytes", n)
		}
	})
}

// TestGROSegment reads a control message as the kernel writes it.
func TestGROSegment(t *testing.T) {
	b := make([]byte, 24)
	binary.NativeEndian.PutUint64(b, 20)
	binary.NativeEndian.PutUint32(b[8:], unix.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(b[12:], unix.UDP_GRO)
	binary.NativeEndian.PutUint32(b[16:], 1400)
	if got := groSegment(b); got != 1400 {
		t.Errorf("segment of %d bytes, want 1400", got)
	}
	if got := groSegment(b[:17]); got != 0 {
		t.Errorf("segment of %d bytes in half a message", got)
	}
}
