package ustack_test

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// raw is the other end of a stack's link, in the hands of the test.
type raw struct {
	t    *testing.T
	q    ustack.Queue
	pool *frame.Pool
}

// attack makes a stack and the raw end of its link.
func attack(t *testing.T, changes ...change) (*ustack.Stack, *raw) {
	t.Helper()
	da, db, err := pipe.New(pipe.Config{Depth: 1 << 14})
	if err != nil {
		t.Fatal(err)
	}
	st := stack(t, db, hostB, hostB6, changes...)
	pool, err := frame.NewPool(frame.Config{FrameSize: 2048, Limit: 1 << 15, Headroom: 128})
	if err != nil {
		t.Fatal(err)
	}
	q, err := da.Open(0, pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = da.Close(); pool.Close() })
	return st, &raw{t, q, pool}
}

func at(s string) wire.Addr { return wire.AddrOf(netip.MustParseAddr(s)) }

// send sends a segment from hostA.
func (r *raw) send(h wire.TCP, payload []byte) {
	r.t.Helper()
	r.sendAll(r.segment(h, payload))
}

// sendAll sends frames that arrive in one bunch.
func (r *raw) sendAll(frames ...*frame.Frame) {
	r.t.Helper()
	if _, err := r.q.Send(frames); err != nil {
		r.t.Fatal(err)
	}
}

// segment makes a segment from hostA.
func (r *raw) segment(h wire.TCP, payload []byte) *frame.Frame {
	r.t.Helper()
	f := r.pool.One()
	if f == nil {
		r.t.Fatal("no frame left: the stack keeps them")
	}
	copy(f.Extend(len(payload)), payload)
	h.HeaderLen = wire.TCPLen + h.Options.Len()
	h.Put(f.Prepend(h.HeaderLen))
	ip := wire.IP{Src: at(hostA), Dst: at(hostB), Proto: wire.ProtoTCP, TTL: 64}
	p := wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoTCP, f.Len())
	p.Add(f.Bytes())
	sum := p.Checksum()
	f.Bytes()[16], f.Bytes()[17] = byte(sum>>8), byte(sum)
	ip.HeaderLen, ip.Length = wire.IP4Len, wire.IP4Len+f.Len()
	ip.Put(f.Prepend(wire.IP4Len))
	return f
}

// receive waits for a segment to a port of hostA.
func (r *raw) receive(port uint16) wire.TCP {
	r.t.Helper()
	end := time.Now().Add(5 * time.Second)
	for time.Now().Before(end) {
		var one [1]*frame.Frame
		if n, err := r.q.Receive(one[:]); err != nil || n == 0 {
			_ = r.q.Wait(10 * time.Millisecond)
			continue
		}
		var ip wire.IP
		var h wire.TCP
		b := one[0].Bytes()
		if f := wire.ParseIP(&ip, b); f != wire.OK {
			r.t.Fatal(f)
		}
		if f := wire.ParseTCP(&h, b[ip.HeaderLen:]); f != wire.OK {
			r.t.Fatal(f)
		}
		r.pool.Put(one[0])
		if h.DstPort == port {
			return h
		}
	}
	r.t.Fatalf("nothing came to port %d", port)
	return wire.TCP{}
}

func noOptions() wire.TCPOptions { return wire.TCPOptions{WindowScale: -1} }

// TestSYNFlood floods a listener; an honest client must still get in, by a cookie.
func TestSYNFlood(t *testing.T) {
	for _, options := range []wire.TCPOptions{
		noOptions(),
		{MSS: 1460, WindowScale: 7, SACKPermitted: true, Timestamps: true, TSVal: 1000},
	} {
		st, r := attack(t, func(c *ustack.Config) { c.TCP.Backlog = 16 })
		l, err := st.Listen("tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			r.send(wire.TCP{SrcPort: uint16(1000 + i), DstPort: 80, Seq: uint32(i), Flags: wire.SYN, Window: 1000, Options: noOptions()}, nil)
		}
		r.receive(5999)
		syn := wire.TCP{SrcPort: 50000, DstPort: 80, Seq: 7, Flags: wire.SYN, Window: 1000, Options: options}
		r.send(syn, nil)
		got := r.receive(50000)
		if got.Flags != wire.SYN|wire.ACK || got.Ack != 8 || got.Options.SACKPermitted != options.SACKPermitted || got.Options.MSS != 1460 {
			t.Fatalf("%+v", got)
		}
		ack := wire.TCP{SrcPort: 50000, DstPort: 80, Seq: 8, Ack: got.Seq + 1, Flags: wire.ACK | wire.PSH, Window: 1000, Options: noOptions()}
		if options.Timestamps {
			ack.Options.Timestamps, ack.Options.TSVal, ack.Options.TSEcr = true, 1001, got.Options.TSVal
		}
		forged := ack
		forged.SrcPort = 50001
		r.send(forged, nil)
		if got := r.receive(50001); got.Flags&wire.RST == 0 {
			t.Errorf("a forged cookie is answered with flags %#x", got.Flags)
		}
		r.send(ack, []byte("honest"))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 6)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "honest" {
			t.Fatalf("%q %v", b, err)
		}
		if info := c.(*ustack.TCPConn).Info(); options.WindowScale == 7 && info.SendWindow != 1000<<7 {
			t.Errorf("the peer's window is %d, %d were said", info.SendWindow, 1000<<7)
		}
		n := st.Counters()
		if n["TcpExtSyncookiesSent"] < 4000 || n["TcpExtSyncookiesRecv"] != 1 || n["TcpPassiveOpens"] > 20 {
			t.Errorf("cookies sent %d, came back %d, connections begun %d", n["TcpExtSyncookiesSent"], n["TcpExtSyncookiesRecv"], n["TcpPassiveOpens"])
		}
		_ = c.Close()
		_ = l.Close()
	}
}

// TestStorms throws what belongs to nothing at a stack: answers are limited.
func TestStorms(t *testing.T) {
	st, r := attack(t)
	began := time.Now()
	for i := range 30_000 {
		h := wire.TCP{SrcPort: uint16(1000 + i%50000), DstPort: 81, Seq: uint32(i), Ack: 9, Flags: wire.ACK, Options: noOptions()}
		switch i % 3 {
		case 0:
			h.Flags = wire.RST
		case 1:
			h.Flags = wire.FIN | wire.SYN | wire.URG | wire.PSH
		}
		r.send(h, nil)
		if i%512 == 0 {
			r.drain()
		}
	}
	for end := time.Now().Add(5 * time.Second); r.pool.Out() > 64 && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // it works off what has queued up
		r.drain()
	}
	n := st.Counters()
	most := uint64(10_000 * (2 + time.Since(began).Seconds())) // what the limit lets pass: its seconds do not begin with the storm
	if n["TcpOutRsts"] == 0 || n["TcpOutRsts"] > most {
		t.Errorf("%d resets were sent for %d segments", n["TcpOutRsts"], n["TcpInSegs"])
	}
	if r.pool.Out() > 64 {
		t.Errorf("%d frames were not given back", r.pool.Out())
	}
}

// drain frees what the stack has sent.
func (r *raw) drain() {
	var list [256]*frame.Frame
	for {
		n, _ := r.q.Receive(list[:])
		if n == 0 {
			return
		}
		for _, f := range list[:n] {
			r.pool.Put(f)
		}
	}
}
