package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	hostpkg "github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

func TestMain(m *testing.M) {
	roles := Roles()
	roles[makerRole] = makerMain
	selfexec.Dispatch(roles)
	os.Exit(m.Run())
}

// resident is a process in a network namespace of its own; the namespace ends with it.
func resident(t *testing.T) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	cmd := exec.Command("sleep", "120")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// inside runs f in the network namespace of a process.
func inside(t *testing.T, cmd *exec.Cmd, f func() error) {
	t.Helper()
	if err := sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), func(string) error { return f() }); err != nil {
		t.Fatal(err)
	}
}

// bench is a rig with its hosts.
type bench struct {
	*Rig
	links          []rig.Link
	server, client *exec.Cmd
	cpus           []int
}

func start(t *testing.T, links int, s Settings) *bench {
	t.Helper()
	b := &bench{links: rig.Plan(links), server: resident(t), client: resident(t)}
	var err error
	if b.cpus, err = sysx.Affinity(0); err != nil {
		t.Fatal(err)
	}
	if b.Rig, err = Start(b.server.Process.Pid, b.client.Process.Pid, b.links, b.cpus); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Set(s); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) open(t *testing.T, s Side) *Interrupts {
	t.Helper()
	i, err := b.Interrupts(s).Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// send carries bytes over a link from the client to the server and returns how long it took.
func (b *bench) send(t *testing.T, link, bytes int) time.Duration {
	t.Helper()
	l := b.links[link]
	var lis net.Listener
	inside(t, b.server, func() (err error) {
		lis, err = net.Listen("tcp", net.JoinHostPort(l.Server.Addr.String(), "0"))
		return err
	})
	defer lis.Close()
	got := make(chan error, 1)
	began := time.Now()
	go func() {
		c, err := lis.Accept()
		if err != nil {
			got <- err
			return
		}
		defer c.Close()
		n, err := io.Copy(io.Discard, c)
		if err == nil && n != int64(bytes) {
			err = fmt.Errorf("%d bytes came, %d were sent", n, bytes)
		}
		got <- err
	}()
	var c net.Conn
	inside(t, b.client, func() (err error) {
		c, err = (&net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: l.Client.Addr.AsSlice()}}).Dial("tcp", lis.Addr().String())
		return err
	})
	_, err := c.Write(make([]byte, bytes))
	if err := errors.Join(err, c.Close(), <-got); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// TestCountsAddUp sends over two links and wants every frame that left a tap to be where the counts
// say it is, and the kernel's own counts to agree.
func TestCountsAddUp(t *testing.T) {
	b := start(t, 2, Settings{LinkRate: 2.5e9, InterruptRate: DefaultInterruptRate})
	for link := range b.links {
		b.send(t, link, 10e6)
	}
	for side, host := range []*exec.Cmd{b.server, b.client} {
		i := b.open(t, Side(side))
		for link := range b.links {
			nic := b.Interrupts(Side(side)).NICs[link]
			var c map[string]uint64
			var kernel uint64
			wait(t, nic+"'s ring to be empty and the kernel to agree", func() bool {
				c = i.Counters()
				kernel = received(t, host, nic)
				return c[nic+".wire_frames"] == c[nic+".ring_frames"]+c[nic+".ring_dropped"] && kernel == c[nic+".ring_packets"]
			})
			if c[nic+".ring_frames"] == 0 || c[nic+".ring_refused"] != 0 {
				t.Errorf("%s: %v, want frames and none refused", nic, c)
			}
			var interrupts, frames uint64
			for _, cpu := range b.cpus {
				interrupts += c[fmt.Sprintf("%s.interrupts_cpu%d", nic, cpu)]
				frames += c[fmt.Sprintf("%s.ring_frames_cpu%d", nic, cpu)]
			}
			if interrupts != c[nic+".interrupts"] || frames != c[nic+".ring_frames"] {
				t.Errorf("%s: %d interrupts and %d frames on all CPUs, %v in all", nic, interrupts, frames, c)
			}
		}
	}
}

// received is how many frames the kernel got from a NIC.
func received(t *testing.T, host *exec.Cmd, nic string) (frames uint64) {
	t.Helper()
	inside(t, host, func() error {
		f, err := os.Open("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		defer f.Close()
		counts := map[string]uint64{}
		err = hostpkg.ParseDev(f, counts)
		frames = counts[nic+".rx_packets"]
		return err
	})
	return frames
}

func wait(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestRoute sends a NIC's interrupts to one CPU after the other and wants all of them there.
func TestRoute(t *testing.T) {
	b := start(t, 1, Settings{InterruptRate: DefaultInterruptRate})
	i := b.open(t, Server)
	nic := b.links[0].Server.Name
	for _, cpu := range b.cpus {
		if err := i.Route(nic, cpu); err != nil {
			t.Fatal(err)
		}
		if on, err := i.Routed(nic); err != nil || len(on) != 1 || on[0] != cpu {
			t.Errorf("routed to %d, read back %v, %v", cpu, on, err)
		}
		b.send(t, 0, 1000) // what was raised before the route is served before this ends
		before := i.Counters()
		b.send(t, 0, 2e6)
		after := i.Counters()
		for _, other := range b.cpus {
			name := fmt.Sprintf("%s.interrupts_cpu%d", nic, other)
			if n := after[name] - before[name]; (n > 0) != (other == cpu) {
				t.Errorf("routed to CPU %d: %d interrupts on CPU %d", cpu, n, other)
			}
		}
	}
	if err := i.Release(nic); err != nil {
		t.Fatal(err)
	}
	if on, err := i.Routed(nic); err != nil || len(on) != len(b.cpus) {
		t.Errorf("not routed, read back %v, %v; want %v", on, err, b.cpus)
	}
	if err := i.Route(nic, 9999); err == nil {
		t.Error("routed to a CPU that is not there")
	}
	if err := i.Route("eth7", b.cpus[0]); err == nil {
		t.Error("routed a NIC that is not there")
	}
}
