package agent

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// sockopt reads an option of a connection back.
func sockopt(t *testing.T, conn *net.TCPConn, level, opt int) (v int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	cerr := raw.Control(func(fd uintptr) { v, err = unix.GetsockoptInt(int(fd), level, opt) })
	if err := errors.Join(cerr, err); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVanishingIsWatchedFor wants the kernel to have what makes it notice within the time given.
func TestVanishingIsWatchedFor(t *testing.T) {
	a := listen(t)
	conn, err := dial(t.Context(), a.addr, a.key)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tcp := conn.NetConn().(*net.TCPConn)
	idle := sockopt(t, tcp, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
	every := sockopt(t, tcp, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
	times := sockopt(t, tcp, unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	unsent := sockopt(t, tcp, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	if on := sockopt(t, tcp, unix.SOL_SOCKET, unix.SO_KEEPALIVE); on != 1 || idle+every*times > 30 || unsent > 30_000 || unsent == 0 {
		t.Errorf("keepalive %d, after %d s, %d times every %d s; unsent data for %d ms: more than 30 s", on, idle, times, every, unsent)
	}
}

// TestControllersHostVanishes takes the cable of a controller off, whose session is idle, and wants
// the session over and the log to say so.
func TestControllersHostVanishes(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the kernel's timers")
	}
	needRoot(t)
	t.Parallel()
	server, client := twoAgents(t)
	var l net.Listener
	in := func(pid int, do func() error) {
		t.Helper()
		if err := sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", pid), func(string) error { return do() }); err != nil {
			t.Fatal(err)
		}
	}
	in(server.PID(), func() (err error) {
		l, err = net.Listen("tcp", "198.18.0.1:0")
		return err
	})
	const vanish = 3 * time.Second
	a := listenOn(t, l, &Listener{Options: defaults(), vanish: vanish})
	var c *Client
	in(client.PID(), func() (err error) {
		if c, _, err = DialWait(t.Context(), a.addr, a.key, Introduction{Run: "unplugged"}, nil); err != nil {
			return err
		}
		link, err := netlink.LinkByName(rig.Plan(1)[0].Client.Name)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
	defer c.Close()
	began := time.Now()
	a.saidWithin(t, `session of run "unplugged" ended, no load prepared: the controller's host has vanished`, 5*vanish)
	if d := time.Since(began); d > 2*vanish {
		t.Errorf("took %v, want about %v", d, vanish)
	}
}
