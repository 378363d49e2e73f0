package ustack_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

func TestBorrow(t *testing.T) {
	a, b := pair(t, pipe.Config{}, func(c *ustack.Config) { c.TCP.ReceiveBuffer, c.TCP.ReceiveBufferMax = 64<<10, 64<<10 })
	c1, c2 := connect(t, a, b, hostB)
	want := random(9, 1<<20)
	go func() {
		_, _ = c1.Write(want)
		_ = c1.CloseWrite()
	}()
	var got []byte
	for {
		lent, err := c2.Borrow()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for p := range lent.Pieces() {
			got = append(got, p...)
			n += len(p)
		}
		if n != lent.Len() || n == 0 {
			t.Fatalf("%d bytes lent, %d said", n, lent.Len())
		}
		lent.Release()
		lent.Release()
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, or others", len(got), len(want))
	}
}

// TestBorrowedBytesHoldThePeerBack: what is not given back is window.
func TestBorrowedBytesHoldThePeerBack(t *testing.T) {
	a, b := pair(t, pipe.Config{}, func(c *ustack.Config) {
		c.TCP.ReceiveBuffer, c.TCP.ReceiveBufferMax, c.TCP.SendBufferMax = 64<<10, 64<<10, 128<<10
	})
	c1, c2 := connect(t, a, b, hostB)
	go func() {
		_, _ = c1.Write(make([]byte, 1<<20))
		_ = c1.CloseWrite()
	}()
	var kept []ustack.Borrowed
	n := 0
	for n < 60<<10 {
		lent, err := c2.Borrow()
		if err != nil {
			t.Fatal(err)
		}
		n += lent.Len()
		kept = append(kept, lent)
	}
	if n > 66<<10 {
		t.Errorf("%d bytes came into a window of 64 KiB", n)
	}
	for i := range kept {
		kept[i].Release()
	}
	rest, err := io.Copy(io.Discard, c2)
	if err != nil || n+int(rest) != 1<<20 {
		t.Errorf("%d bytes: %v", n+int(rest), err)
	}
}
