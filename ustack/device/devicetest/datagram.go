package devicetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// datagrams has the stack echo datagrams of the kernel, whole and in fragments.
func datagrams(t *testing.T, space *netns.Space, st *ustack.Stack) {
	for _, v := range []struct{ name, kernel, stack string }{{"4", host(Kernel4), host(stack4)}, {"6", host(Kernel6), host(stack6)}} {
		t.Run("datagrams "+v.name, func(t *testing.T) {
			server, err := st.ListenPacket("udp", net.JoinHostPort(v.stack, "53"))
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			var c net.Conn
			if err := space.Do(func() (err error) {
				c, err = net.Dial("udp", net.JoinHostPort(v.stack, "53"))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_ = server.SetReadDeadline(time.Now().Add(10 * time.Second))
			for _, n := range []int{0, 1, 1400, 4000, 20000} {
				want := make([]byte, n)
				_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(want)
				if _, err := c.Write(want); err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 65536)
				k, from, err := server.ReadFrom(b)
				if err != nil || !bytes.Equal(b[:k], want) {
					t.Fatalf("%d of %d bytes came to the stack: %v", k, n, err)
				}
				if _, err := server.WriteTo(b[:k], from); err != nil {
					t.Fatal(err)
				}
				if k, err := c.Read(b); err != nil || !bytes.Equal(b[:k], want) {
					t.Fatalf("%d of %d bytes came back: %v", k, n, err)
				}
			}
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("nobody listens")); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("nobody listens: %v", err)
			}
		})
	}
}

// pings has the kernel ping the stack.
func pings(t *testing.T, space *netns.Space) {
	for _, v := range []struct {
		network, kernel, stack string
		request, reply         byte
	}{{"ip4:icmp", host(Kernel4), host(stack4), 8, 0}, {"ip6:ipv6-icmp", host(Kernel6), host(stack6), 128, 129}} {
		t.Run("ping "+v.network, func(t *testing.T) {
			var c net.Conn
			if err := space.Do(func() (err error) {
				c, err = net.Dial(v.network, v.stack)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			m := append([]byte{v.request, 0, 0, 0, 1, 2, 3, 4}, make([]byte, 1000)...)
			if v.request == 8 { // the kernel sums ICMPv6 itself
				var s uint32
				for i := 0; i < len(m); i += 2 {
					s += uint32(binary.BigEndian.Uint16(m[i:]))
				}
				binary.BigEndian.PutUint16(m[2:], ^uint16(s+s>>16))
			}
			if _, err := c.Write(m); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 2000)
			for {
				n, _, err := c.(*net.IPConn).ReadFrom(b) // Read would leave the IPv4 header
				if err != nil {
					t.Fatal(err)
				}
				if b[0] == v.reply && n == len(m) && bytes.Equal(b[4:n], m[4:]) {
					return
				}
			}
		})
	}
}
