package ustack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// connect makes a connection between two stacks.
func connect(t testing.TB, a, b *ustack.Stack, host string) (c1, c2 *ustack.TCPConn) {
	t.Helper()
	l, err := b.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := a.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*ustack.TCPConn), d.(*ustack.TCPConn)
}

func TestNetConn(t *testing.T) {
	for name, p := range pipes {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, b := pair(t, p)
				x, y := connect(t, a, b, hostB)
				return x, y, func() {
					_ = x.Close()
					_ = y.Close()
					_ = a.Close()
					_ = b.Close()
				}, nil
			})
		})
	}
}

// random is n bytes from a seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(b)
	return b
}

// exchange sends streams both ways at once and compares them.
func exchange(t *testing.T, c1, c2 net.Conn, n int) {
	t.Helper()
	type end struct {
		sent, got [32]byte
		err       error
	}
	run := func(c net.Conn, seed uint64) <-chan end {
		done := make(chan end, 1)
		go func() {
			var e end
			b := random(seed, n)
			e.sent = sha256.Sum256(b)
			written := make(chan error, 1)
			go func() {
				_, err := c.Write(b)
				written <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
			}()
			h := sha256.New()
			_, err := io.Copy(h, struct{ io.Reader }{c}) // by Read, not WriteTo
			e.err = errors.Join(err, <-written)
			h.Sum(e.got[:0])
			done <- e
		}()
		return done
	}
	d1, d2 := run(c1, 1), run(c2, 2)
	e1, e2 := <-d1, <-d2
	if e1.err != nil || e2.err != nil {
		t.Fatal(e1.err, e2.err)
	}
	if e1.sent != e2.got || e2.sent != e1.got {
		t.Fatal("the streams that came are not those that were sent")
	}
}

func TestStreamsBothWays(t *testing.T) {
	for name, p := range pipes {
		for _, host := range []string{hostB, hostB6} {
			t.Run(name+"/"+host, func(t *testing.T) {
				a, b := pair(t, p)
				c1, c2 := connect(t, a, b, host)
				exchange(t, c1, c2, 8<<20)
				for _, c := range []*ustack.TCPConn{c1, c2} {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestDialErrors(t *testing.T) {
	a, _ := pair(t, pipe.Config{})
	if _, err := a.Dial(t.Context(), "tcp", hostB+":1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := a.Dial(ctx, "tcp", "10.1.0.77:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody there: %v", err)
	}
	var op *net.OpError
	if _, err := a.Dial(t.Context(), "tcp", "name:80"); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("a name: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	a, _ := pair(t, pipe.Config{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Listen("tcp", ":80"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the same port again: %v", err)
	}
	if _, err := a.Listen("tcp", "192.0.2.9:80"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address of others: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	l, err = a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal("the port is not free again: ", err)
	}
	_ = l.(*ustack.Listener).SetDeadline(time.Now().Add(time.Millisecond))
	if _, err := l.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept after its deadline: %v", err)
	}
	_ = l.Close()
}

func TestErrorsOfEnds(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	if err := c2.Abort(); err != nil {
		t.Fatal(err)
	}
	if _, err := c1.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after the peer's abort: %v", err)
	}
	if _, err := c1.Write(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after the peer's abort: %v", err)
	}
	_ = c1.Close()
	if _, err := c1.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}

	c1, c2 = connect(t, a, b, hostB)
	if err := c1.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c1.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after CloseWrite: %v", err)
	}
	if _, err := c2.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read of the end: %v", err)
	}
	if _, err := c2.Write([]byte("still open")); err != nil {
		t.Errorf("the other half: %v", err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(c1, got); err != nil || !bytes.Equal(got, []byte("still open")) {
		t.Errorf("the other half: %q %v", got, err)
	}
	if err := c2.CloseRead(); err != nil {
		t.Error(err)
	}
}

func TestReadFromAndWriteTo(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	want := random(3, 3<<20)
	go func() {
		_, _ = c1.ReadFrom(bytes.NewReader(want))
		_ = c1.CloseWrite()
	}()
	var got bytes.Buffer
	if n, err := c2.WriteTo(&got); err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

func TestSlowReaderHoldsTheWriterBack(t *testing.T) {
	a, b := pair(t, pipe.Config{}, func(c *ustack.Config) {
		c.TCP.ReceiveBuffer, c.TCP.ReceiveBufferMax, c.TCP.SendBufferMax = 32<<10, 32<<10, 128<<10
	})
	c1, c2 := connect(t, a, b, hostB)
	n := 0
	// A busy machine may take longer than one deadline to fill the buffers.
	for tries := 0; n < 128<<10 && tries < 200; tries++ {
		_ = c1.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		k, err := c1.Write(make([]byte, 4<<20))
		n += k
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes written with nobody reading: %v", n, err)
		}
	}
	if n > 200<<10 || n < 128<<10 {
		t.Fatalf("%d bytes written with nobody reading", n)
	}
	_ = c1.CloseWrite()
	got, err := io.ReadAll(c2)
	if err != nil || len(got) != n {
		t.Fatalf("%d of %d bytes read: %v", len(got), n, err)
	}
}

func TestShutdownDeliversWhatWasWritten(t *testing.T) {
	a, b := pair(t, pipe.Config{})
	c1, c2 := connect(t, a, b, hostB)
	want := random(4, 100_000)
	if _, err := c1.Write(want); err != nil {
		t.Fatal(err)
	}
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(c2)
		_ = c2.Close()
		got <- b
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := a.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if g := <-got; !bytes.Equal(g, want) {
		t.Errorf("%d of %d bytes", len(g), len(want))
	}
	if _, err := a.Dial(t.Context(), "tcp", hostB+":1"); err == nil {
		t.Error("a closed stack dials")
	}
}

func TestManyConnections(t *testing.T) {
	for _, queues := range []int{1, 2} {
		a, b := pair(t, pipe.Config{Queues: queues})
		l, err := b.Listen("tcp", ":7")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					_, _ = io.Copy(c, c)
					_ = c.Close()
				}()
			}
		}()
		const n = 200
		errs := make(chan error, n)
		for i := range n {
			go func() {
				errs <- func() error {
					c, err := a.Dial(t.Context(), "tcp", hostB+":7")
					if err != nil {
						return err
					}
					defer c.Close()
					msg := random(uint64(i), 3000)
					if _, err := c.Write(msg); err != nil {
						return err
					}
					got := make([]byte, len(msg))
					if _, err := io.ReadFull(c, got); err != nil {
						return err
					}
					if !bytes.Equal(got, msg) {
						return errors.New("another's bytes")
					}
					return nil
				}()
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		_ = l.Close()
		_ = a.Close()
		_ = b.Close()
	}
}
