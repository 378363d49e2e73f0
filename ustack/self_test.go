package ustack_test

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestStackToItself has a stack talk to its own addresses, over each kind of link: none of
// it must reach the link.
func TestStackToItself(t *testing.T) {
	for name, p := range pipes {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, p)
			before := b.Counters()["IpInReceives"]
			for _, to := range []string{hostA, hostA6, "", "0.0.0.0", "::"} {
				l, err := a.Listen("tcp", ":80")
				if err != nil {
					t.Fatal(err)
				}
				c1, err := a.Dial(t.Context(), "tcp", net.JoinHostPort(to, "80"))
				if err != nil {
					t.Fatal(err)
				}
				c2, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				if c1.LocalAddr().String() != c2.RemoteAddr().String() {
					t.Errorf("%v is %v to the other end", c1.LocalAddr(), c2.RemoteAddr())
				}
				exchange(t, c1, c2, 1<<20)
				_, _, _ = c1.Close(), c2.Close(), l.Close()
			}
			server, err := a.ListenPacket("udp", ":53")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			c, err := a.DialUDP(netip.AddrPort{}, netip.MustParseAddrPort(hostA+":53"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_ = server.SetDeadline(time.Now().Add(20 * time.Second))
			buf := make([]byte, 10)
			if _, err := c.Write([]byte("ask")); err != nil {
				t.Fatal(err)
			}
			n, from, err := server.ReadFrom(buf)
			if err != nil || string(buf[:n]) != "ask" || from.String() != c.LocalAddr().String() {
				t.Fatalf("%q from %v, %v", buf[:n], from, err)
			}
			if _, err := server.WriteTo([]byte("answer"), from); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
				t.Fatalf("%q, %v", buf[:n], err)
			}
			if n := b.Counters()["IpInReceives"] - before; n > 0 {
				t.Errorf("%d packets went over the link", n)
			}
		})
	}
}

// TestAddressesOfTheWrongVersion are refused.
func TestAddressesOfTheWrongVersion(t *testing.T) {
	a, _ := pair(t, pipes["ip"])
	for network, address := range map[string]string{"tcp4": "[" + hostB6 + "]:1", "tcp6": hostB + ":1", "udp": hostB + ":1", "tcp": "localhost:1"} {
		if c, err := a.Dial(t.Context(), network, address); err == nil {
			_ = c.Close()
			t.Errorf("%s took %s", network, address)
		}
	}
}
