package ustack_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

func TestLend(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	want := random(3, 1<<20)
	sent := make(chan error, 1)
	go func() {
		for i, left := 0, want; len(left) > 0; i++ {
			loan, err := c1.Lend(len(left))
			if err != nil {
				sent <- err
				return
			}
			n := copy(loan.Bytes(), left)
			n -= n * (i % 3) / 4 // not all that was lent
			left = left[n:]
			loan.Send(n, i%4 > 0 && len(left) > 0)
		}
		sent <- c1.CloseWrite()
	}()
	got, err := io.ReadAll(struct{ io.Reader }{c2})
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, or others: %v", len(got), len(want), err)
	}
	if _, err := c1.Lend(1); err == nil {
		t.Error("room was lent behind the end")
	}
	_ = c1.Close()
	if _, err := c1.Lend(1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("of a closed connection: %v", err)
	}
	_ = c2.Close()
}

// TestLendWithMoreIsSentOnceItMustBe: bytes that the stack was not told of must not keep the
// next loan waiting for room.
func TestLendWithMoreIsSentOnceItMustBe(t *testing.T) {
	a, b := pair(t, pipe.Config{}, func(c *ustack.Config) { c.TCP.SendBufferMax = 32 << 10 })
	c1, c2 := connect(t, a, b, hostB)
	go func() { _, _ = io.Copy(io.Discard, c2) }()
	_ = c1.SetWriteDeadline(time.Now().Add(20 * time.Second))
	for range 64 {
		loan, err := c1.Lend(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		loan.Send(len(loan.Bytes()), true)
	}
	_, _ = c1.Close(), c2.Close()
}

// TestEndWaitsForALoan closes the writing side while room is lent: what is sent from it goes
// before the end.
func TestEndWaitsForALoan(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	for _, more := range []bool{true, false} {
		if _, err := c1.Write([]byte("first ")); err != nil {
			t.Fatal(err)
		}
		loan, err := c1.Lend(100)
		if err != nil {
			t.Fatal(err)
		}
		if err := c1.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // for the end to leave, if it does not wait
		loan.Send(copy(loan.Bytes(), "last"), more)
		_ = c2.SetReadDeadline(time.Now().Add(20 * time.Second))
		if got, err := io.ReadAll(struct{ io.Reader }{c2}); err != nil || string(got) != "first last" {
			t.Fatalf("read %q, %v", got, err)
		}
		c1, c2 = connect(t, a, b, hostB)
	}
}
