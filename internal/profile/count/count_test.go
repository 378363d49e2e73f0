package count

import (
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

func open(t testing.TB) *Counter {
	t.Helper()
	c, err := Open()
	if host.IsNotSupported(err) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, m := range c.Missing() {
		t.Logf("without %s: %s", m.Tracepoint, m.Reason)
	}
	return c
}

// inNamespace puts the test's thread into a network namespace of its own, for good,
// and returns its inode. The thread dies with the test.
func inNamespace(t testing.TB) uint32 {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("needs root: ", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	return inode(t)
}

func inode(t testing.TB) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// window counts what f does in a pass.
func window(t testing.TB, c *Counter, pass string, f func()) *Counts {
	t.Helper()
	if err := c.Start(pass); err != nil {
		t.Fatal(err)
	}
	before, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	f()
	after, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	return after.Since(before)
}

// TestKnownDatagrams sends a known number of datagrams in a namespace where nothing
// else is, and holds every count that follows from it exactly.
func TestKnownDatagrams(t *testing.T) {
	const datagrams, size = 3000, 100
	c := open(t)
	ns := inNamespace(t)
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	source, err := net.DialUDP("udp4", nil, sink.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	exchange := func() {
		message := make([]byte, size)
		for range datagrams {
			if _, err := source.Write(message); err != nil {
				t.Fatal(err)
			}
			if _, err := sink.Read(message); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := window(t, c, Frame, exchange)
	const frame = size + 8 + 20
	want := NICCounts{
		NetifRX: datagrams, Received: datagrams, ReceivedBytes: datagrams * frame,
		Xmit: datagrams, XmitBytes: datagrams * (frame + 14),
	}
	if n := got.NICs[NIC{ns, 1}]; n != want {
		t.Errorf("lo: %+v\nwant %+v", n, want)
	}
	want = NICCounts{SendCalls: datagrams, SendBytes: datagrams * size, RecvCalls: datagrams, RecvBytes: datagrams * size}
	if n := got.NICs[NIC{ns, 0}]; n != want {
		t.Errorf("sockets: %+v\nwant %+v", n, want)
	}
	if n := got.Events[Lost]; n > 0 {
		t.Errorf("%d events lost", n)
	}
	heads := got.Caches["skbuff_head_cache"]
	if heads.Allocs+heads.Frees == 0 {
		t.Errorf("no buffer head was allocated or freed: %v", got.Caches)
	}

	light := window(t, c, Light, exchange)
	if n := light.NICs[NIC{0, 0}]; n.Work < datagrams || n.Polls == 0 {
		t.Errorf("backlog: %+v, want at least %d frames", n, datagrams)
	}
	if light.Events[Wakeup] == 0 || light.Events[Switch] == 0 {
		t.Errorf("events: %v", light.Events)
	}
	if _, has := light.Events[Kmalloc]; has {
		t.Errorf("the light pass counted per frame: %v", light.Events)
	}
}

// pair makes two namespaces with veth NICs v0 and v1 between them; the thread is in
// the first one. Threaded off, GRO on: NAPI polls, as drivers of hardware do.
func pair(t testing.TB) (near, far uint32, peer *exec.Cmd) {
	t.Helper()
	near = inNamespace(t)
	peer = exec.Command("unshare", "-n", "sleep", "60")
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = peer.Process.Kill()
		_ = peer.Wait()
	})
	for range 200 {
		var st unix.Stat_t
		name := "/proc/" + strconv.Itoa(peer.Process.Pid) + "/ns/net"
		if err := unix.Stat(name, &st); err == nil {
			comm, _ := os.ReadFile("/proc/" + strconv.Itoa(peer.Process.Pid) + "/comm")
			if strings.TrimSpace(string(comm)) == "sleep" {
				far = uint32(st.Ino)
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	if far == 0 {
		t.Fatal("no second namespace")
	}
	run := func(args ...string) {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", args, out)
		}
	}
	inPeer := []string{"nsenter", "-t", strconv.Itoa(peer.Process.Pid), "-n"}
	run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", strconv.Itoa(peer.Process.Pid))
	run("ethtool", "-K", "v0", "gro", "on", "tso", "off", "gso", "off")
	run(append(inPeer, "ethtool", "-K", "v1", "gro", "on", "tso", "off", "gso", "off")...)
	run("ip", "addr", "add", "10.99.0.1/24", "dev", "v0")
	run(append(inPeer, "ip", "addr", "add", "10.99.0.2/24", "dev", "v1")...)
	run("ip", "link", "set", "v0", "up")
	run(append(inPeer, "ip", "link", "set", "v1", "up")...)
	return near, far, peer
}

// TestAgreesWithTheKernel runs a TCP stream over veth and holds frames, polls' work and
// packets against the interfaces' counters.
func TestAgreesWithTheKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("runs two streams")
	}
	c := open(t)
	_, far, peer := pair(t)
	listener := make(chan net.Listener)
	go func() { // a thread in the far namespace, which dies with the goroutine
		runtime.LockOSThread()
		fd, err := unix.Open("/proc/"+strconv.Itoa(peer.Process.Pid)+"/ns/net", unix.O_RDONLY, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err != nil {
			close(listener)
			return
		}
		l, err := net.Listen("tcp4", "10.99.0.2:0")
		if err != nil {
			close(listener)
			return
		}
		listener <- l
	}()
	l, ok := <-listener
	if !ok {
		t.Fatal("can't listen in the far namespace")
	}
	defer l.Close()
	stream := func() {
		done := make(chan int64)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				done <- 0
				return
			}
			n, _ := io.Copy(io.Discard, conn)
			conn.Close()
			done <- n
		}()
		conn, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1<<16)
		for range 800 {
			if _, err := conn.Write(buf); err != nil {
				t.Fatal(err)
			}
		}
		conn.Close()
		if n := <-done; n != 800<<16 {
			t.Errorf("%d bytes arrived", n)
		}
		time.Sleep(50 * time.Millisecond) // the last acknowledgements
	}
	stream() // neighbours are resolved, the window is open
	counters := func() map[string]uint64 {
		f, err := os.Open("/proc/" + strconv.Itoa(peer.Process.Pid) + "/net/dev")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		out := map[string]uint64{}
		if err := host.ParseDev(f, out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	index := uint32(0)
	for _, pass := range []string{Light, Frame} {
		var before, after map[string]uint64
		got := window(t, c, pass, func() {
			before = counters()
			stream()
			after = counters()
		})
		want := host.Difference(before, after)
		for nic := range got.NICs {
			if nic.Netns == far && nic.Index > 1 {
				index = nic.Index
			}
		}
		n := got.NICs[NIC{far, index}]
		t.Logf("%s: counted %+v, the kernel %v", pass, n, want)
		if want["v1.rx_packets"] < 10000 {
			t.Fatalf("%d frames only", want["v1.rx_packets"])
		}
		if pass == Light {
			agree(t, "work of the polls", n.Work, want["v1.rx_packets"])
			continue
		}
		agree(t, "frames given to GRO", n.GROFrames, want["v1.rx_packets"])
		agree(t, "frames sent", n.Xmit, want["v1.tx_packets"])
		// veth counts bytes without the Ethernet header.
		agree(t, "bytes sent", n.XmitBytes-14*n.Xmit, want["v1.tx_bytes"])
		if n.Received == 0 || n.Received > n.GROFrames {
			t.Errorf("GRO handed %d packets up out of %d frames", n.Received, n.GROFrames)
		}
		// The rest of the machine copies too.
		if n := got.Events[CopyToUserBytes]; n < 800<<16 {
			t.Errorf("%d bytes copied to user, want at least %d", n, 800<<16)
		}
		// Sockets that were closed with data unread would count less.
		if s := got.NICs[NIC{far, 0}]; s.RecvBytes != 800<<16 {
			t.Errorf("receive calls returned %d bytes, want %d", s.RecvBytes, 800<<16)
		}
	}
}

// agree wants two counts within 0.1 %.
func agree(t *testing.T, what string, got, want uint64) {
	t.Helper()
	if d := math.Abs(float64(got) - float64(want)); d > 0.001*float64(want) {
		t.Errorf("%s: counted %d, the kernel %d", what, got, want)
	}
}

// TestEveryCounterHasAName keeps the names in step with the programs.
func TestEveryCounterHasAName(t *testing.T) {
	names := map[string]bool{}
	for i := range countCounterLOST + 1 {
		name, ok := eventNames[i]
		if !ok || names[name] {
			t.Errorf("counter %d: name %q", i, name)
		}
		names[name] = true
	}
}

// BenchmarkAttach is what it takes to switch a pass on and off.
func BenchmarkAttach(b *testing.B) {
	c := open(b)
	for _, pass := range []string{Light, Frame} {
		b.Run(pass, func(b *testing.B) {
			for b.Loop() {
				if err := c.Start(pass); err != nil {
					b.Fatal(err)
				}
				if err := c.Stop(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestCostOfAnEvent logs the kernel's own account of what each program costs.
func TestCostOfAnEvent(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a stream")
	}
	c := open(t)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		t.Skip(err)
	}
	defer stats.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, pass := range []string{Light, Frame} {
		window(t, c, pass, func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			}()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 1<<14)
			for range 5000 {
				if _, err := conn.Write(buf); err != nil {
					t.Fatal(err)
				}
			}
			conn.Close()
			<-done
		})
	}
	cost, err := c.set.Cost()
	if err != nil {
		t.Fatal(err)
	}
	var ns, runs uint64
	for name, x := range cost {
		if x.Runs > 0 {
			t.Logf("%-32s %7d runs, %4d ns each", name, x.Runs, x.Nanoseconds/x.Runs)
		}
		ns += x.Nanoseconds
		runs += x.Runs
	}
	if runs < 1000 || ns/runs > 1000 {
		t.Errorf("%d events cost %d ns each, want under 1000", runs, ns/max(runs, 1))
	}
}
