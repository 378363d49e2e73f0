package flow

import (
	"net"
	"os"
	"runtime"
	"testing"
	"time"

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

// exchange sends bytes over loopback from one CPU to a reader on another. The softirq
// of loopback runs where the sender does.
func exchange(t *testing.T, l net.Listener, sender, reader int) (total int) {
	t.Helper()
	var conn net.Conn
	accepted := make(chan struct{})
	sent := pinned(sender, func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		<-accepted
		raw, _ := c.(*net.TCPConn).SyscallConn()
		buf := make([]byte, 16<<10)
		for range 300 {
			_ = raw.Write(func(fd uintptr) bool {
				n, err := unix.Write(int(fd), buf)
				if n > 0 {
					total += n
				}
				return err != unix.EAGAIN
			})
			time.Sleep(200 * time.Microsecond)
		}
	})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := 0
	read := pinned(reader, func() {
		raw, _ := conn.(*net.TCPConn).SyscallConn()
		buf := make([]byte, 16<<10)
		for end := false; !end; {
			_ = raw.Read(func(fd uintptr) bool {
				n, err := unix.Read(int(fd), buf)
				if n > 0 {
					got += n
				}
				end = n == 0
				return err != unix.EAGAIN
			})
		}
	})
	close(accepted)
	<-sent
	<-read
	if got != total {
		t.Errorf("%d bytes of %d arrived", got, total)
	}
	return total
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
	want := map[int]struct{ bytes, reader int }{}
	for reader, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		n := exchange(t, l, 0, reader)
		want[l.Addr().(*net.TCPAddr).Port] = struct{ bytes, reader int }{n, reader}
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
		w, ours := want[int(f.Local.Port())]
		if !ours || f.PID != os.Getpid() {
			continue
		}
		delete(want, int(f.Local.Port()))
		t.Logf("%+v", f)
		if f.Bytes != uint64(w.bytes) || f.Protocol != "tcp" || !f.Peer.Addr().IsLoopback() {
			t.Errorf("%s: %d bytes of %s from %s, want %d", f.Local, f.Bytes, f.Protocol, f.Peer, w.bytes)
		}
		// The read at the end may come before the thread is where it was sent.
		if p := f.Pairs[0]; p.Reader != w.reader || p.SoftIRQ != 0 || p.Bytes*10 < f.Bytes*9 {
			t.Errorf("%s: most bytes from CPU %d to %d, want from 0 to %d: %+v", f.Local, p.SoftIRQ, p.Reader, w.reader, f.Pairs)
		}
		cross := float64(f.CrossBytes) / float64(f.Bytes)
		remote := float64(f.CopiedRemote) / float64(f.Copied)
		if apart := w.reader != 0; apart && (cross < 0.9 || remote < 0.9) || !apart && (cross > 0.1 || remote > 0.1) {
			t.Errorf("%s: %.2f of the bytes across CPUs, %.2f of the buffers", f.Local, cross, remote)
		}
	}
	if len(want) > 0 {
		t.Errorf("flows not seen: %v", want)
	}
}
