package ustack_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// rung waits for the next call of a notification.
type rung chan struct{}

func newRung() rung { return make(rung, 1) }

func (r rung) ring() {
	select {
	case r <- struct{}{}:
	default:
	}
}

// until calls try, after each notification again, until it has something to do.
func (r rung) until(t *testing.T, try func() error) error {
	t.Helper()
	for end := time.After(20 * time.Second); ; {
		err := try()
		if !errors.Is(err, ustack.ErrWouldBlock) {
			return err
		}
		select {
		case <-r:
		case <-end:
			t.Fatal("no notification")
		}
	}
}

// TestWithoutWaiting carries a stream with calls that never wait: every time that one says
// that there is nothing to do a notification must follow.
func TestWithoutWaiting(t *testing.T) {
	for name, cfg := range map[string]pipe.Config{"ip": {}, "queues": {Queues: 2}} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, cfg)
			nl, err := b.Listen("tcp", hostB+":7")
			if err != nil {
				t.Fatal(err)
			}
			l, came := nl.(*ustack.Listener), newRung()
			l.Notify(came.ring)
			if _, err := l.TryAccept(); err != ustack.ErrWouldBlock {
				t.Fatalf("accept with nobody there: %v", err)
			}
			mine := newRung()
			c, err := a.Open(netip.MustParseAddrPort(hostB+":7"), mine.ring)
			if err != nil {
				t.Fatal(err)
			}
			if err := mine.until(t, c.Opened); err != nil {
				t.Fatal(err)
			}
			var s *ustack.TCPConn
			if err := came.until(t, func() (err error) { s, err = l.TryAccept(); return err }); err != nil {
				t.Fatal(err)
			}
			theirs := newRung()
			s.Notify(theirs.ring)
			want := random(7, 9<<20) // more than the buffers of both ends hold
			sent := make(chan error, 1)
			go func() {
				left := want
				err := mine.until(t, func() error {
					for len(left) > 0 {
						n, err := c.TryWrite(left)
						if left = left[n:]; err != nil {
							return err
						}
					}
					return nil
				})
				sent <- errors.Join(err, c.CloseWrite())
			}()
			var got bytes.Buffer
			buf := make([]byte, 64<<10)
			err = theirs.until(t, func() error {
				for {
					n, err := s.TryRead(buf)
					got.Write(buf[:n])
					if err != nil {
						return err
					}
				}
			})
			if err != io.EOF || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d of %d bytes, %v", got.Len(), len(want), err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
			if r, w := s.Ready(true, true); !r || !w {
				t.Errorf("at the end of the stream: readable %v, writable %v", r, w)
			}
		})
	}
}

func TestOpenRefused(t *testing.T) {
	a, _ := pair(t, pipe.Config{})
	r := newRung()
	c, err := a.Open(netip.MustParseAddrPort(hostB+":7"), r.ring)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.until(t, c.Opened); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	_ = c.Close()
}

// TestConnectedDatagrams has two connected sockets and an unconnected one share a port:
// each gets what is for it.
func TestConnectedDatagrams(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	at := netip.MustParseAddrPort(hostB + ":53")
	rest, err := b.ListenPacket("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() ustack.UDPConn {
		c, err := a.DialUDP(netip.AddrPort{}, at)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	clients := []ustack.UDPConn{dial(), dial(), dial()}
	servers := []interface {
		TryRead([]byte) (int, netip.AddrPort, error)
		Notify(func())
	}{rest.(*ustack.PacketConn)}
	for _, c := range clients[1:] {
		from := netip.MustParseAddrPort(c.LocalAddr().String())
		s, err := b.DialUDP(at, from)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.DialUDP(at, from); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("connected twice: %v", err)
		}
		servers = append(servers, s)
	}
	for round := range 100 {
		for i, c := range clients {
			r := newRung()
			servers[i].Notify(r.ring)
			want := []byte{byte(round), byte(i)}
			if _, err := c.Write(want); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 16)
			var n int
			var from netip.AddrPort
			if err := r.until(t, func() (err error) { n, from, err = servers[i].TryRead(buf); return err }); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(buf[:n], want) || from.String() != c.LocalAddr().String() {
				t.Fatalf("socket %d got %v from %v", i, buf[:n], from)
			}
		}
	}
	if err := clients[1].Close(); err != nil {
		t.Error(err)
	}
	if err := clients[1].Close(); err == nil {
		t.Error("closed twice")
	}
}
