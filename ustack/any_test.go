package ustack_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// anyPair is a client and a stack that takes packets to any address.
func anyPair(t *testing.T) (client, proxy *ustack.Stack) {
	t.Helper()
	da, db, err := pipe.New(pipe.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return stack(t, da, hostA, hostA6), stack(t, db, hostB, hostB6, func(c *ustack.Config) { c.AnyAddress = true })
}

// TestAnyTCP connects to addresses that nobody has: the stack takes them all, and tells where
// each client wanted to go. A listener of its own port is not disturbed.
func TestAnyTCP(t *testing.T) {
	client, proxy := anyPair(t)
	all, err := proxy.ListenAny()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proxy.ListenAny(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listened twice: %v", err)
	}
	own, err := proxy.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	for to, at := range map[string]net.Listener{
		"203.0.113.9:443": all, "203.0.113.9:80": all, "[2001:db8::7]:22": all, hostB + ":81": all, hostB + ":80": own,
	} {
		c, err := client.Dial(t.Context(), "tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		s, err := at.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if s.LocalAddr().String() != to {
			t.Errorf("the client wanted to go to %s, the stack says %v", to, s.LocalAddr())
		}
		want := random(1, 100000)
		go func() {
			_, _ = s.Write(want)
			_ = s.Close()
		}()
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d of %d bytes, %v", to, len(got), len(want), err)
		}
		_ = c.Close()
	}
}

// TestAnyUDP sends datagrams of two flows to addresses that nobody has, and gets answers from there.
func TestAnyUDP(t *testing.T) {
	client, proxy := anyPair(t)
	l, err := proxy.ListenAnyUDP()
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"203.0.113.9:53", "[2001:db8::7]:123"} {
		c, err := client.DialUDP(netip.AddrPort{}, netip.MustParseAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		var s ustack.UDPConn
		for i := range 3 {
			want := random(uint64(i), 50+i)
			if _, err := c.Write(want); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if s, err = l.Accept(); err != nil {
					t.Fatal(err)
				}
			}
			if s.LocalAddr().String() != to || s.RemoteAddr().String() != c.LocalAddr().String() {
				t.Errorf("a flow from %v to %v", s.RemoteAddr(), s.LocalAddr())
			}
			b := make([]byte, 200)
			n, err := s.Read(b)
			if err != nil || !bytes.Equal(b[:n], want) {
				t.Fatalf("%d bytes, %v", n, err)
			}
			if _, err := s.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			if n, err = c.Read(b); err != nil || !bytes.Equal(b[:n], want) {
				t.Fatalf("%d bytes came back, %v", n, err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
