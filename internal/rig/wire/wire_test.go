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

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/selfexec"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

func TestMain(m *testing.M) {
	selfexec.Dispatch(Roles())
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

func TestTry(t *testing.T) {
	b := start(t, 2, Settings{LinkRate: DefaultLinkRate, InterruptRate: DefaultInterruptRate})
	i, j := b.open(t, Server), b.open(t, Client)
	for range 2 {
		d := b.send(t, 0, 100e6)
		t.Log(100e6*8/d.Seconds()/1e6, "Mb/s")
		t.Log(i.Counters())
		t.Log(j.Counters())
		for _, b := range [][]string{{"net/dev"}, {"net/softnet_stat"}} {
			_ = b
		}
	}
	inside(t, b.server, func() error {
		o, err := os.ReadFile("/proc/thread-self/net/dev")
		t.Log(string(o))
		o, err = exec.Command("nstat", "-a").CombinedOutput()
		t.Log(string(o))
		return err
	})
}
