package ustack_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

func TestDatagrams(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	server, err := b.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{hostB, hostB6} {
		client, err := a.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 512, 1452, 1473, 5000, 65507} {
			want := random(uint64(n), n)
			if _, err := client.WriteTo(want, &net.UDPAddr{IP: net.ParseIP(host), Port: 53}); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 1<<16)
			k, from, err := server.ReadFrom(got)
			if err != nil || !bytes.Equal(got[:k], want) {
				t.Fatalf("%s: %d of %d bytes, %v", host, k, n, err)
			}
			if _, err := server.WriteTo(got[:k], from); err != nil {
				t.Fatal(err)
			}
			if k, _, err = client.ReadFrom(got); err != nil || !bytes.Equal(got[:k], want) {
				t.Fatalf("%s: %d of %d bytes came back, %v", host, k, n, err)
			}
		}
		if _, err := client.WriteTo(make([]byte, 65528), &net.UDPAddr{IP: net.ParseIP(host), Port: 53}); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("a datagram longer than any can be: %v", err)
		}
		_ = client.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := client.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if _, _, err := client.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}
