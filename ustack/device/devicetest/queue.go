package devicetest

import (
	"net"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// queued sends many short datagrams before the stack's application reads any: they must
// be kept, however large the device's frames are.
func queued(t *testing.T, space *netns.Space, st *ustack.Stack) {
	const n = 60
	server, err := st.ListenPacket("udp", ":54")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	var c net.Conn
	if err := space.Do(func() (err error) {
		c, err = net.Dial("udp", net.JoinHostPort(host(stack4), "54"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		if _, err := c.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	_ = server.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 10)
	for i := range n {
		if k, _, err := server.ReadFrom(b); err != nil || k != 1 || b[0] != byte(i) {
			t.Fatalf("datagram %d of %d: % x, %v", i, n, b[:k], err)
		}
	}
}
