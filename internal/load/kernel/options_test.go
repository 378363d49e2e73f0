package kernel

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// TestOptions sets everything that marks packets, on every family that has it, and has the
// engine read it back; TCP's own options must not keep the others from working.
func TestOptions(t *testing.T) {
	needRoot(t)
	for name, f := range map[string]load.FlowSpec{
		"tcp":   {},
		"tcp6":  {Local: netip.MustParseAddrPort("[::1]:0")},
		"udp":   {Transport: load.UDP},
		"udp6":  {Transport: load.UDP, Local: netip.MustParseAddrPort("[::1]:0")},
		"mptcp": {Transport: load.MPTCP},
	} {
		t.Run(name, func(t *testing.T) {
			f.MessageBytes, f.TOS, f.Priority, f.Device = 64, 0x20, 5, "lo"
			f.SendBufferBytes, f.ReceiveBufferBytes, f.NoDelay, f.Congestion = 1<<17, 1<<17, true, "cubic"
			if f.Transport != load.MPTCP {
				f.PacingBytesPerSecond = 1 << 30
			}
			r := carry(t, "rr", load.Epoll, f, func(_, client *load.FlowSpec) {
				client.Local = netip.MustParseAddrPort("127.0.0.3:0")
				if strings.HasSuffix(name, "6") {
					client.Local = netip.MustParseAddrPort("[::1]:0")
				}
			})
			if r.client.Transactions == 0 {
				t.Error("no transactions")
			}
			for _, e := range append(r.serverEnds, r.clientEnds...) {
				if e.Socket.ReceiveBufferBytes < 1<<18 || e.Socket.NoDelay == (f.Transport == load.UDP) {
					t.Errorf("%+v", e.Socket)
				}
			}
		})
	}
}

// TestBadOptions wants each refused by its name.
func TestBadOptions(t *testing.T) {
	for want, f := range map[string]load.FlowSpec{
		"SO_BINDTODEVICE=no-such": {Device: "no-such"},
		"IP_TOS":                  {Transport: load.Unix, TOS: 8},
		"bind to 192.0.2.1":       {},
		"congestion control":      {Congestion: "no-such"},
	} {
		f.MessageBytes = 1
		_, err := try(t, "rr", load.Thread, f, func(_, client *load.FlowSpec) {
			if strings.HasPrefix(want, "bind") {
				client.Local = netip.MustParseAddrPort("192.0.2.1:0")
			}
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// TestSourceAddress looks at whom the server sees.
func TestSourceAddress(t *testing.T) {
	for _, transport := range []string{load.TCP, load.UDP} {
		f := &load.FlowSpec{Transport: transport, Token: load.NewToken(), MessageBytes: 1, Local: netip.MustParseAddrPort("127.0.0.1:0")}
		l, err := Engine{}.Listen(f)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client := *f
		client.Local = netip.MustParseAddrPort("127.0.0.9:0")
		dialed := make(chan load.Transport, 1)
		go func() {
			c, err := Engine{}.Dial(&client, 0, l.Address(), load.DialOptions{Timeout: 2e9})
			if err != nil {
				t.Error(err)
			}
			dialed <- c
		}()
		_, s, err := l.Accept(load.DialOptions{Timeout: 2e9})
		if err != nil {
			t.Fatal(err)
		}
		if c := <-dialed; c != nil {
			defer c.Close()
		}
		defer s.Close()
		peer, err := unix.Getpeername(s.(watched).descriptor(load.Readable))
		if err != nil {
			t.Fatal(err)
		}
		if from, err := addrPort(peer); err != nil || from.Addr() != client.Local.Addr() {
			t.Errorf("%s: the client came from %v (%v)", transport, from, err)
		}
	}
}

// TestLinkLocal runs to a link-local address of a NIC, by its zone; the zone of the client.s
// machine may have another name.
func TestLinkLocal(t *testing.T) {
	needRoot(t)
	name := fmt.Sprintf("smk%d", os.Getpid()%100000)
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	ip("link", "add", name+"a", "type", "veth", "peer", "name", name+"b")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name+"a").Run() })
	for _, nic := range []string{name + "a", name + "b"} {
		ip("link", "set", nic, "addrgenmode", "none")
		ip("link", "set", nic, "up")
	}
	ip("addr", "add", "fe80::1/64", "dev", name+"a", "nodad")
	server := netip.MustParseAddr("fe80::1").WithZone(name + "a")
	for _, f := range []load.FlowSpec{{}, {Transport: load.UDP}} {
		f.MessageBytes, f.Local = 10, netip.AddrPortFrom(server, 0)
		carry(t, "rr", load.Epoll, f, nil).agree(t)
	}
	// The client's own zone comes first.
	f := &load.FlowSpec{Device: name + "b"}
	a, err := parseAddress(f, "[fe80::1%no-such]:80")
	if err != nil {
		t.Fatal(err)
	}
	if sa := a.sa.(*unix.SockaddrInet6); sa.ZoneId == 0 {
		t.Error("no zone")
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: SO_BINDTODEVICE and NICs of its own")
	}
}
