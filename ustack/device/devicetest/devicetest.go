// Package devicetest tries a device with the kernel's TCP as the stack's peer: the same
// conversations for each kind of device.
package devicetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/fault"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// Addresses, with the lengths of their prefixes: the kernel's and the stack's.
const (
	Kernel4, Kernel6 = "10.9.0.1/24", "fd09::1/64"
	stack4, stack6   = "10.9.0.2/24", "fd09::2/64"
)

func host(prefix string) string { return netip.MustParsePrefix(prefix).Addr().String() }

// Run tries the device that make returns, which leads to the kernel's addresses in the
// namespace: once as it is, and once with faults on top. bytes is how much each stream
// carries on the sound device.
func Run(t *testing.T, space *netns.Space, bytes int, make func(t *testing.T) ustack.Device) {
	t.Run("sound", func(t *testing.T) {
		st := Stack(t, make(t), ustack.Techniques{})
		conversations(t, space, st, bytes)
		datagrams(t, space, st)
		pings(t, space)
		t.Run("queued", func(t *testing.T) { queued(t, space, st) })
	})
	t.Run("faulty", func(t *testing.T) {
		d := fault.New(make(t), fault.Config{Seed: 1, Loss: 0.005, Duplicate: 0.005, Corrupt: 0.005, Reorder: 0.01, Jitter: 2 * time.Millisecond})
		st := Stack(t, d, ustack.Techniques{Checksum: ustack.InReader})
		conversations(t, space, st, bytes/16)
	})
}

// Stack makes a stack on d, with its techniques, that ends with the test.
func Stack(t testing.TB, d ustack.Device, tech ustack.Techniques) *ustack.Stack {
	t.Helper()
	st, err := ustack.New(ustack.Config{Device: d, Techniques: tech, Addresses: []netip.Prefix{netip.MustParsePrefix(stack4), netip.MustParsePrefix(stack6)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func conversations(t *testing.T, space *netns.Space, st *ustack.Stack, bytes int) {
	for _, v := range []struct{ name, kernel, stack string }{{"4", host(Kernel4), host(stack4)}, {"6", host(Kernel6), host(stack6)}} {
		t.Run("kernel dials "+v.name, func(t *testing.T) {
			l, err := st.Listen("tcp", net.JoinHostPort(v.stack, "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var c net.Conn
			if err := space.Do(func() (err error) {
				c, err = net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			d, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, c, d, bytes)
		})
		t.Run("stack dials "+v.name, func(t *testing.T) {
			var l net.Listener
			if err := space.Do(func() (err error) {
				l, err = net.Listen("tcp", net.JoinHostPort(v.kernel, "0"))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			d, err := st.Dial(ctx, "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, c, d, bytes)
		})
		t.Run("refused "+v.name, func(t *testing.T) {
			err := space.Do(func() error {
				_, err := net.DialTimeout("tcp", net.JoinHostPort(v.stack, "9"), 10*time.Second)
				return err
			})
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("by the stack: %v", err)
			}
			if _, err := st.Dial(t.Context(), "tcp", net.JoinHostPort(v.kernel, "9")); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("by the kernel: %v", err)
			}
		})
	}
}

// exchange sends a stream each way at once, compares what came, and closes.
func exchange(t *testing.T, a, b net.Conn, bytes int) {
	t.Helper()
	results := make(chan error, 2)
	sums := make(chan [32]byte, 4)
	run := func(name string, c net.Conn, seed uint64) {
		results <- func() error {
			_ = c.SetDeadline(time.Now().Add(60 * time.Second))
			written := make(chan error, 1)
			go func() {
				h := sha256.New()
				_, err := io.Copy(io.MultiWriter(c, h), io.LimitReader(rand.NewChaCha8([32]byte{byte(seed)}), int64(bytes)))
				sums <- [32]byte(h.Sum(nil))
				written <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
			}()
			h := sha256.New()
			n, err := io.Copy(h, c)
			sums <- [32]byte(h.Sum(nil))
			err = errors.Join(err, <-written, c.Close())
			if err == nil && n != int64(bytes) {
				err = fmt.Errorf("%d of %d bytes", n, bytes)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}()
	}
	go run("kernel", a, 1)
	go run("stack", b, 2)
	if err := errors.Join(<-results, <-results); err != nil {
		t.Fatal(err)
	}
	// Each stream was summed at both of its ends.
	count := map[[32]byte]int{}
	for range 4 {
		count[<-sums]++
	}
	if len(count) != 2 {
		t.Fatal("the streams that came are not those that were sent")
	}
}
