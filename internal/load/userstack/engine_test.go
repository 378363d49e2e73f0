package userstack

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// engines are two with a pipe between them.
func engines(t *testing.T) (server, client *engine) {
	t.Helper()
	a, b, err := pipe.New(pipe.Config{})
	if err != nil {
		t.Fatal(err)
	}
	one := func(d ustack.Device, address string) *engine {
		p := netip.MustParsePrefix(address)
		st, err := ustack.New(ustack.Config{Device: d, Addresses: []netip.Prefix{p}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := st.Close(); err != nil {
				t.Error(err)
			}
		})
		return &engine{stacks: map[int]*stack{0: {Stack: st, address: p, info: load.StackInfo{MTU: 1500}}}}
	}
	return one(a, "10.0.0.1/24"), one(b, "10.0.0.2/24")
}

// connect makes a flow between two engines.
func connect(t *testing.T, f load.FlowSpec, o load.DialOptions) (server, client load.Transport) {
	t.Helper()
	s, c := engines(t)
	f.Token = load.NewToken()
	l, err := s.Listen(&f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	dialed := make(chan load.Transport, 1)
	go func() {
		c, err := c.Dial(&f, 0, l.Address(), o)
		if err != nil {
			t.Error(err)
		}
		dialed <- c
	}()
	id, server, err := l.Accept(o)
	if err != nil || id != 0 {
		t.Fatalf("flow %d: %v", id, err)
	}
	if client = <-dialed; client == nil {
		t.FailNow()
	}
	t.Cleanup(server.Close)
	t.Cleanup(client.Close)
	return server, client
}

// TestNoAllocation sends and receives: the hot path must make no garbage.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for name, f := range map[string]load.FlowSpec{
		"tcp": {MessageBytes: 10000, LowWaterBytes: 10000, NoDelay: true},
		"udp": {Transport: load.UDP, MessageBytes: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := connect(t, f, load.DialOptions{Timeout: 20 * time.Second, Numbered: true})
			out, in := make([]byte, f.MessageBytes), make([]byte, f.MessageBytes)
			once := func() {
				if n, errno := c.Send(out); errno != 0 || n != len(out) {
					t.Fatalf("sent %d: %v", n, errno)
				}
				for left := len(out); left > 0; {
					n, errno := s.Recv(in)
					if errno != 0 && errno != unix.EAGAIN {
						t.Fatalf("receive: %v", errno)
					}
					left -= n
				}
			}
			for range 1000 { // pools fill, windows open
				once()
			}
			if n := testing.AllocsPerRun(1000, once); n > 0.05 {
				t.Errorf("%v allocations a message", n)
			}
		})
	}
}

// TestPoller has a polled flow wait for what to do, read it out and wait again.
func TestPoller(t *testing.T) {
	for name, f := range map[string]load.FlowSpec{
		"tcp": {MessageBytes: 100, NoDelay: true},
		"udp": {Transport: load.UDP, MessageBytes: 100},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := connect(t, f, load.DialOptions{Timeout: 20 * time.Second, Polled: true, Numbered: true})
			p := newPoller()
			defer p.Close()
			ready, b := make([]int32, 4), make([]byte, f.MessageBytes)
			if err := p.Watch(7, s, load.Readable); err != nil {
				t.Fatal(err)
			}
			if n, errno := p.Wait(ready, int64(20*time.Millisecond)); n != 0 || errno != 0 {
				t.Fatalf("%d ready with nothing sent: %v", n, errno)
			}
			for range 100 {
				if n, errno := c.Send(b); n != len(b) || errno != 0 {
					t.Fatalf("sent %d: %v", n, errno)
				}
				for got, deadline := 0, time.Now().Add(20*time.Second); got < len(b); {
					n, errno := p.Wait(ready, int64(time.Second))
					if errno != 0 || time.Now().After(deadline) {
						t.Fatalf("%d of %d bytes: %v", got, len(b), errno)
					}
					if n == 0 {
						continue
					}
					if n != 1 || ready[0] != 7 {
						t.Fatalf("ready: %v", ready[:n])
					}
					k, errno := s.Recv(b)
					if errno != 0 && errno != unix.EAGAIN {
						t.Fatal(errno)
					}
					got += k
				}
			}
			if err := p.Watch(7, s, 0); err != nil {
				t.Fatal(err)
			}
			_, _ = c.Send(b)
			if n, _ := p.Wait(ready, int64(20*time.Millisecond)); n != 0 {
				t.Error("reported what is not watched any more")
			}
		})
	}
}

// TestAbort lets a blocked end go, and the other see the end of the stream.
func TestAbort(t *testing.T) {
	s, c := connect(t, load.FlowSpec{MessageBytes: 100}, load.DialOptions{Timeout: 20 * time.Second})
	ended := make(chan unix.Errno, 1)
	go func() {
		_, errno := c.Recv(make([]byte, 100))
		ended <- errno
	}()
	c.Abort()
	if errno := <-ended; errno != 0 {
		t.Errorf("the blocked end: %v", errno)
	}
	if n, errno := s.Recv(make([]byte, 100)); n != 0 || errno != 0 {
		t.Errorf("the other end: %d bytes, %v", n, errno)
	}
	if i := c.Info(); i.MaxSegmentBytes == 0 || i.RTTMicroseconds == 0 && i.MinRTTMicroseconds == 0 && i.RTTVarMicroseconds == 0 {
		t.Logf("a round trip under a microsecond: %+v", i)
	}
}
