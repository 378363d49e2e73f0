package flow

import (
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// pinned runs f in a thread on one CPU.
func pinned(cpu int, f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never given back: it ends with the goroutine
		var set unix.CPUSet
		set.Set(cpu)
		_ = unix.SchedSetaffinity(0, &set)
		f()
	}()
	return done
}

const (
	messages = 300
	size     = 16 << 10
)

// exchange sends messages over loopback from one CPU to a reader on another, which
// answers each with a byte. So each is sent by the sender, on its CPU, where loopback's
// softirq runs too; had it to wait for room, the answer's softirq would send it.
func exchange(t *testing.T, l *net.TCPListener, sender, reader int) {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") })
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, _ = c.(*net.TCPConn).SyscallConn()
	_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") })
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := pinned(sender, func() {
		for range messages {
			if _, err := c.Write(make([]byte, size)); err != nil {
				t.Error(err)
				return
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	read := pinned(reader, func() {
		for range messages {
			if _, err := io.ReadFull(conn, make([]byte, size)); err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.Write([]byte{1}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	<-sent
	<-read
}

// TestLocalityOfPinnedEnds holds the CPUs of loopback flows against where their ends
// were pinned.
func TestLocalityOfPinnedEnds(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil || allowed.Count() < 2 || !allowed.IsSet(0) || !allowed.IsSet(1) {
		t.Skip("needs CPUs 0 and 1")
	}
	tr, err := Open()
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	for _, m := range tr.Missing() {
		t.Logf("without %s: %s", m.Tracepoint, m.Reason)
	}
	if err := tr.Start(); err != nil {
		t.Fatal(err)
	}
	want := map[int]int{} // port -> CPU of the reader
	for reader, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, l.(*net.TCPListener), 0, reader)
		want[l.Addr().(*net.TCPAddr).Port] = reader
		l.Close()
	}
	if err := tr.Stop(); err != nil {
		t.Fatal(err)
	}
	flows, lost, err := tr.Read()
	if err != nil || lost > 0 {
		t.Fatal(err, lost)
	}
	for _, f := range flows {
		reader, ours := want[int(f.Local.Port())]
		if !ours || f.PID != os.Getpid() {
			continue
		}
		delete(want, int(f.Local.Port()))
		t.Logf("%+v", f)
		if f.Bytes != messages*size || f.Protocol != "tcp" || !f.Peer.Addr().IsLoopback() {
			t.Errorf("%s: %d bytes of %s from %s, want %d", f.Local, f.Bytes, f.Protocol, f.Peer, messages*size)
		}
		// The read at the end may come before the thread is where it was sent.
		if p := f.Pairs[0]; p.Reader != reader || p.SoftIRQ != 0 || p.Bytes*4 < f.Bytes*3 {
			t.Errorf("%s: most bytes from CPU %d to %d, want from 0 to %d: %+v", f.Local, p.SoftIRQ, p.Reader, reader, f.Pairs)
		}
		cross := float64(f.CrossBytes) / float64(f.Bytes)
		remote := float64(f.CopiedRemote) / float64(f.Copied)
		if apart := reader != 0; apart && (cross < 0.75 || remote < 0.75) || !apart && (cross > 0.25 || remote > 0.25) {
			t.Errorf("%s: %.2f of the bytes across CPUs, %.2f of the buffers", f.Local, cross, remote)
		}
	}
	if len(want) > 0 {
		t.Errorf("flows not seen: %v", want)
	}
}
