package ustack_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// hostC is the attacker's own address.
const hostC = "10.1.0.9"

// shared is the end of a pipe that an honest stack and an attacker send from.
type shared struct {
	ustack.Device
	q    ustack.Queue
	mine chan wire.TCP // what is sent to the attacker's own address
}

type sharedQueue struct {
	ustack.Queue
	d *shared
}

func (d *shared) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	q, err := d.Device.Open(i, pool)
	d.q = q
	return &sharedQueue{q, d}, err
}

func (q *sharedQueue) Receive(into []*frame.Frame) (int, error) {
	n, err := q.Queue.Receive(into)
	kept := 0
	for _, f := range into[:n] {
		var ip wire.IP
		var h wire.TCP
		b := f.Bytes()
		if wire.ParseIP(&ip, b) == wire.OK && ip.Dst == at(hostC) {
			if ip.Proto == wire.ProtoTCP && wire.ParseTCP(&h, b[ip.HeaderLen:]) == wire.OK {
				select {
				case q.d.mine <- h:
				default:
				}
			}
			f.Next = nil
			frame.Free(f)
			continue
		}
		into[kept] = f
		kept++
	}
	return kept, err
}

// attacker injects packets. Its frames come from a pool of its own, so that those that
// are out and not on the link are what the victim keeps.
type attacker struct {
	t    *testing.T
	d    *shared
	pool *frame.Pool
	r    *rand.Rand
	sent int
}

// packet sends an IPv4 packet.
func (a *attacker) packet(ip wire.IP, payload func(f *frame.Frame)) {
	var f *frame.Frame
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if f = a.pool.One(); f != nil {
			break
		}
		if time.Now().After(end) {
			a.t.Error("no frame left: the victim keeps them all")
			runtime.Goexit()
		}
	}
	payload(f)
	ip.TTL, ip.HeaderLen, ip.Length = 64, wire.IP4Len, wire.IP4Len+f.Len()
	ip.Put(f.Prepend(wire.IP4Len))
	_, _ = a.d.q.Send([]*frame.Frame{f})
	if a.sent++; a.sent%16 == 0 {
		time.Sleep(50 * time.Microsecond) // the link is not what is to be filled
	}
}

// segment sends a segment of n bytes from an address, which need not be its own.
func (a *attacker) segment(from string, h wire.TCP, n int) {
	ip := wire.IP{Src: at(from), Dst: at(hostB), Proto: wire.ProtoTCP}
	a.packet(ip, func(f *frame.Frame) {
		clear(f.Extend(n))
		h.HeaderLen = wire.TCPLen + h.Options.Len()
		h.Put(f.Prepend(h.HeaderLen))
		p := wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoTCP, f.Len())
		p.Add(f.Bytes())
		binary.BigEndian.PutUint16(f.Bytes()[wire.TCPChecksumAt:], p.Checksum())
	})
}

// sieges are what the attacker does again and again, i counting, while honest streams
// run from port to port.
var sieges = []struct {
	name string
	do   func(a *attacker, from, to uint16, i int)
	kept int // frames that the victim may keep in the end
}{
	{name: "SYN flood", do: func(a *attacker, _, to uint16, i int) {
		a.segment(fmt.Sprintf("10.1.0.%d", 10+i%200), wire.TCP{SrcPort: uint16(1024 + i), DstPort: 7, Seq: a.r.Uint32(), Flags: wire.SYN, Window: 1000, Options: noOptions()}, 0)
	}},
	{name: "RST storm", do: func(a *attacker, from, to uint16, _ int) {
		a.segment(hostA, wire.TCP{SrcPort: from, DstPort: to, Seq: a.r.Uint32(), Flags: wire.RST, Options: noOptions()}, 0)
	}},
	{name: "SYN storm on the connection", do: func(a *attacker, from, to uint16, _ int) {
		a.segment(hostA, wire.TCP{SrcPort: from, DstPort: to, Seq: a.r.Uint32(), Flags: wire.SYN, Window: 1000, Options: noOptions()}, 0)
	}},
	{name: "ACK storm", do: func(a *attacker, from, to uint16, _ int) {
		a.segment(hostA, wire.TCP{SrcPort: from, DstPort: to, Seq: a.r.Uint32(), Ack: a.r.Uint32(), Flags: wire.ACK, Window: uint16(a.r.Uint32()), Options: noOptions()}, 0)
	}},
	{name: "bytes out of window", do: func(a *attacker, from, to uint16, _ int) {
		a.segment(hostA, wire.TCP{SrcPort: from, DstPort: to, Seq: a.r.Uint32(), Ack: a.r.Uint32(), Flags: wire.ACK | wire.PSH, Window: 1000, Options: noOptions()}, 1000)
	}},
	{name: "strangers' segments", do: func(a *attacker, _, _ uint16, i int) {
		a.segment(hostC, wire.TCP{SrcPort: uint16(1024 + i%60000), DstPort: uint16(1 + a.r.Uint32N(65535)), Seq: a.r.Uint32(), Ack: a.r.Uint32(), Flags: uint8(i), Options: noOptions()}, i%100)
	}},
	{name: "overlapping fragments", do: func(a *attacker, _, _ uint16, i int) {
		ip := wire.IP{Src: at(hostC), Dst: at(hostB), Proto: wire.ProtoUDP, ID: uint32(i / 3 & 0xffff), FragOffset: a.r.IntN(20) * 8, MoreFrags: true}
		a.packet(ip, func(f *frame.Frame) { clear(f.Extend(8 * (1 + a.r.IntN(100)))) })
	}},
	{name: "fragments without an end", do: func(a *attacker, _, _ uint16, i int) {
		ip := wire.IP{Src: at(hostC), Dst: at(hostB), Proto: wire.ProtoTCP, ID: uint32(i & 0xffff), FragOffset: 64000, MoreFrags: true}
		a.packet(ip, func(f *frame.Frame) { clear(f.Extend(1400)) })
	}},
	{name: "forged errors", do: func(a *attacker, from, to uint16, i int) {
		ip := wire.IP{Src: at(hostC), Dst: at(hostB), Proto: wire.ProtoICMP}
		a.packet(ip, func(f *frame.Frame) {
			(&wire.ICMP{Type: wire.ICMPUnreachable, Code: uint8(i % 16), Rest: uint32(a.r.IntN(600))}).Put(f.Extend(wire.ICMPLen))
			q := wire.IP{Src: at(hostB), Dst: at(hostA), Proto: wire.ProtoTCP, TTL: 64, DontFrag: true, HeaderLen: wire.IP4Len, Length: 1500}
			q.Put(f.Extend(wire.IP4Len))
			b := f.Extend(8)
			binary.BigEndian.PutUint16(b, to)
			binary.BigEndian.PutUint16(b[2:], from)
			binary.BigEndian.PutUint32(b[4:], a.r.Uint32())
			var p [2]byte
			sum := uint32(0)
			for x := f.Bytes(); len(x) > 1; x = x[2:] {
				sum += uint32(binary.BigEndian.Uint16(x))
			}
			for sum>>16 != 0 {
				sum = sum>>16 + sum&0xffff
			}
			binary.BigEndian.PutUint16(p[:], ^uint16(sum))
			copy(f.Bytes()[wire.ICMPChecksumAt:], p[:])
		})
	}},
	{name: "tiny segments with gaps", kept: 300, do: tiny},
}

// tiny opens a connection and then sends every second byte, each in a frame of its own.
func tiny(a *attacker, _, _ uint16, i int) {
	const port = 1
	key := wire.TCP{SrcPort: port, DstPort: 7, Window: 1000, Options: noOptions()}
	switch {
	case i == 0:
		key.Seq, key.Flags = 100, wire.SYN
	case i == 1:
		select {
		case got := <-a.d.mine:
			tinyAck.Store(got.Seq + 1)
		case <-time.After(20 * time.Second):
			a.t.Error("the attacker got no answer")
		}
		fallthrough
	default:
		key.Seq, key.Ack, key.Flags = 101+uint32(2*i), tinyAck.Load(), wire.ACK
		a.segment(hostC, key, 1)
		return
	}
	a.segment(hostC, key, 0)
}

var tinyAck atomic.Uint32

// TestSieges lets honest streams run between two stacks while a third party on the same
// link attacks one of them: the streams must come whole, new connections must be
// accepted, and the victim must keep next to nothing.
func TestSieges(t *testing.T) {
	for _, s := range sieges {
		for _, tech := range []string{"default", "one-by-one", "in-reader"} {
			if tech != "default" && testing.Short() {
				continue
			}
			t.Run(s.name+"/"+tech, func(t *testing.T) {
				da, db, err := pipe.New(pipe.Config{Depth: 1 << 12})
				if err != nil {
					t.Fatal(err)
				}
				d := &shared{Device: da, mine: make(chan wire.TCP, 16)}
				backlog := func(c *ustack.Config) { c.TCP.Backlog = 64 }
				honest := stack(t, d, hostA, hostA6)
				victim := stack(t, db, hostB, hostB6, backlog, with(techniques[tech]))
				pool, err := frame.NewPool(frame.Config{FrameSize: 2048, Limit: 1 << 14, Headroom: 128})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(pool.Close)
				l, err := victim.Listen("tcp", ":7")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				c1, c2 := connect(t, honest, victim, hostB)
				from, to := port(c1.LocalAddr()), port(c1.RemoteAddr())

				a := &attacker{t: t, d: d, pool: pool, r: rand.New(rand.NewPCG(1, 2))}
				stop, ended := make(chan struct{}), make(chan struct{})
				halt := sync.OnceFunc(func() {
					close(stop)
					<-ended
				})
				defer halt()
				go func() {
					defer close(ended)
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
							s.do(a, from, to, i)
						}
					}
				}()
				exchange(t, c1, c2, 1<<20)
				for range 5 { // and newcomers get in
					x, y := knock(t, honest, l)
					exchange(t, x, y, 10_000)
					_, _ = x.Close(), y.Close()
				}
				for end := time.Now().Add(20 * time.Second); came(victim) < 4000 && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				halt()
				if a.sent < 1000 {
					t.Errorf("%d packets are no attack", a.sent)
				}
				_, _ = c1.Close(), c2.Close()
				for end := time.Now().Add(20 * time.Second); pool.Out() > s.kept && time.Now().Before(end); {
					time.Sleep(time.Millisecond) // what is on the link comes first
				}
				if n := pool.Out(); n > s.kept {
					t.Errorf("after %d packets the victim keeps %d frames, more than %d", a.sent, n, s.kept)
				}
			})
		}
	}
}

// came is how many packets have come to a stack.
func came(st *ustack.Stack) uint64 { return st.Counters()["IpInReceives"] }

func port(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// knock connects to a listener under attack, where others may be accepted first.
func knock(t *testing.T, honest *ustack.Stack, l net.Listener) (client, server net.Conn) {
	t.Helper()
	client, err := honest.Dial(t.Context(), "tcp", hostB+":7")
	if err != nil {
		t.Fatal(err)
	}
	for {
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if server.RemoteAddr().String() == client.LocalAddr().String() {
			return client, server
		}
		t.Cleanup(func() { _ = server.Close() }) // the attacker's own
	}
}
