package devicetest

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// techniques are the switches that Bench turns, one at a time.
var techniques = []struct {
	name string
	t    ustack.Techniques
}{
	{"default", ustack.Techniques{}},
	{"gather=1", ustack.Techniques{Gather: 1}},
	{"gather=8", ustack.Techniques{Gather: 8}},
	{"checksum=reader", ustack.Techniques{Checksum: ustack.InReader}},
	{"align=on", ustack.Techniques{Align: true}},
	{"acks=second", ustack.Techniques{ACKs: ustack.ACKSecond}},
	{"bunch=1", ustack.Techniques{Bunch: 1}},
	{"locality=spread", ustack.Techniques{Locality: ustack.Spread}},
	{"wake=any", ustack.Techniques{Wake: ustack.WakeAny}},
	{"buffers=bulk", ustack.Techniques{Buffers: frame.Bulk}},
	{"buffers=single", ustack.Techniques{Buffers: frame.Single}},
	{"copy=memmove", ustack.Techniques{Copy: "memmove", SendCopy: "memmove"}},
	{"thread=own", ustack.Techniques{LockThread: true}},
}

// Bench measures streams and requests between the kernel and the stack on devices that
// make returns. CPU time is that of the whole process, which both ends and the softirqs
// between them run in; it is exact as long as no kernel thread takes part.
func Bench(b *testing.B, space *netns.Space, make func(b *testing.B) ustack.Device) {
	for _, tech := range techniques {
		b.Run(tech.name, func(b *testing.B) {
			st := Stack(b, make(b), tech.t)
			b.Run("receive", func(b *testing.B) { stream(b, space, st, false) })
			b.Run("send", func(b *testing.B) { stream(b, space, st, true) })
			b.Run("rr", func(b *testing.B) { requests(b, space, st) })
			b.Run("crr", func(b *testing.B) { connections(b, space, st) })
		})
	}
}

// cpu is the CPU time of the process.
func cpu(tb testing.TB) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// dial makes a connection from the kernel to the stack.
func dial(b *testing.B, space *netns.Space, st *ustack.Stack) (kernel, stack net.Conn) {
	b.Helper()
	l, err := st.Listen("tcp", net.JoinHostPort(host(stack4), "0"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if err := space.Do(func() (err error) {
		kernel, err = (&net.Dialer{}).DialContext(context.Background(), "tcp", l.Addr().String())
		return err
	}); err != nil {
		b.Fatal(err)
	}
	if stack, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	return kernel, stack
}

// stream is one flow of 64 KiB messages; an iteration is a message.
func stream(b *testing.B, space *netns.Space, st *ustack.Stack, send bool) {
	const size = 64 << 10
	from, to := dial(b, space, st)
	if send {
		from, to = to, from
	}
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, size)
		left := b.N * size
		for left > 0 {
			n, err := to.Read(buf)
			if left -= n; err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	buf := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	began, used := time.Now(), cpu(b)
	for range b.N {
		if _, err := from.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	used = cpu(b) - used
	bits := float64(b.N) * size * 8
	b.ReportMetric(bits/1e9/time.Since(began).Seconds(), "Gbit/s")
	b.ReportMetric(bits/1e9/used.Seconds(), "Gbit/s/cpu")
	_ = from.Close()
	_ = to.Close()
}

// requests is 16 flows that each have one byte answered with one byte; an iteration is
// a request of each.
func requests(b *testing.B, space *netns.Space, st *ustack.Stack) {
	const flows = 16
	done := make(chan error, 2*flows)
	var open []net.Conn
	for range flows {
		client, server := dial(b, space, st)
		open = append(open, client, server)
		go func() {
			buf := make([]byte, 1)
			for range b.N {
				if _, err := server.Read(buf); err != nil {
					done <- err
					return
				}
				if _, err := server.Write(buf); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	b.ResetTimer()
	used := cpu(b)
	for i := 0; i < len(open); i += 2 {
		client := open[i]
		go func() {
			buf := make([]byte, 1)
			for range b.N {
				if _, err := client.Write(buf); err != nil {
					done <- err
					return
				}
				if _, err := client.Read(buf); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 * flows {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*flows/(cpu(b)-used).Seconds(), "rr/s/cpu")
	for _, c := range open {
		_ = c.Close()
	}
}

// connections is 8 clients of the stack that each connect to the kernel, have one byte
// answered and close; an iteration is a connection of each.
func connections(b *testing.B, space *netns.Space, st *ustack.Stack) {
	const clients = 8
	var l net.Listener
	if err := space.Do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(host(Kernel4), "0"))
		return err
	}); err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range clients {
		go func() {
			buf := make([]byte, 1)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if _, err := c.Read(buf); err == nil {
					_, _ = c.Write(buf)
					_, _ = c.Read(buf) // the client closes first
				}
				_ = c.Close()
			}
		}()
	}
	one := func() error {
		c, err := st.Dial(b.Context(), "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		buf := make([]byte, 1)
		_, err = c.Write(buf)
		_, err2 := c.Read(buf)
		return errors.Join(err, err2, c.Close())
	}
	b.ResetTimer()
	used := cpu(b)
	done := make(chan error, clients)
	for range clients {
		go func() {
			for range b.N {
				if err := one(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)*clients/(cpu(b)-used).Seconds(), "crr/s/cpu")
}
