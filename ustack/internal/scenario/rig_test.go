package scenario

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/fault"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// techniques are what each scenario is tried with.
var techniques = []struct {
	name string
	t    ustack.Techniques
}{
	{"default", ustack.Techniques{}},
	{"gather=1", ustack.Techniques{Gather: 1}},
	{"checksum=reader", ustack.Techniques{Checksum: ustack.InReader}},
	{"buffers=bulk", ustack.Techniques{Buffers: frame.Bulk}},
	{"buffers=single", ustack.Techniques{Buffers: frame.Single}},
	{"copy=rep-movsb", ustack.Techniques{Copy: "rep-movsb"}},
	{"thread=own", ustack.Techniques{LockThread: true}},
}

// rig is the kernel at one side of a router, a stack at the other:
//
//	kernel 10.9.0.1 --- veth --- router --- TUN --- stack 10.9.1.2
//
// The router is another namespace of the kernel. Its interface to the kernel is "near".
type rig struct {
	t              *testing.T
	kernel, router *netns.Space
	st             *ustack.Stack
}

// Addresses, by IP version.
var (
	kernelAt = map[int]string{4: "10.9.0.1", 6: "fd09::1"}
	stackAt  = map[int]string{4: "10.9.1.2", 6: "fd09:1::2"}
)

// network makes kernel and router.
func network(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, kernel: netns.New(t), router: netns.New(t)}
	r.must(
		r.router.Veth("near", "far"), r.router.Give("far", r.kernel),
		r.kernel.Up("far", 0, "10.9.0.1/24", "fd09::1/64"), r.router.Up("near", 0, "10.9.0.254/24", "fd09::fe/64"),
		r.kernel.RealFrames("far"), r.router.RealFrames("near"),
		r.router.Sysctl("ipv4/ip_forward", "1"), r.router.Sysctl("ipv6/conf/all/forwarding", "1"),
		r.router.Sysctl("ipv4/icmp_ratelimit", "0"), r.router.Sysctl("ipv6/icmp/ratelimit", "0"),
		// Of the kernel's own MTU only the stack shall hear from the router.
		r.kernel.Route("10.9.1.0/24", "10.9.0.254", 1460), r.kernel.Route("fd09:1::/64", "fd09::fe", 1440),
		r.kernel.Sysctl("ipv4/tcp_ecn", "1"),
		r.kernel.Sysctl("ipv4/tcp_invalid_ratelimit", "0"), // answers to keep-alive probes, too
	)
	return r
}

// forward lets the router pass packets on, or not.
func (r *rig) forward(on string) {
	r.t.Helper()
	r.must(r.router.Sysctl("ipv4/ip_forward", on), r.router.Sysctl("ipv6/conf/all/forwarding", on))
}

func (r *rig) must(errs ...error) {
	r.t.Helper()
	if err := errors.Join(errs...); err != nil {
		r.t.Fatal(err)
	}
}

// stack gives the rig a stack of its own, on a link with faults if bad is not nil.
func (r *rig) stack(t *testing.T, tech ustack.Techniques, bad *fault.Config, change func(*ustack.Config)) *rig {
	t.Helper()
	var dev *tun.Device
	r.must(r.router.Do(func() (err error) {
		dev, err = tun.New(tun.Config{Name: "side"})
		return err
	}), r.router.Up("side", 0, "10.9.1.254/24", "fd09:1::fe/64"))
	var d ustack.Device = dev
	if bad != nil {
		d = fault.New(d, *bad)
	}
	cfg := ustack.Config{Device: d, Techniques: tech, Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.1.2/24"), netip.MustParsePrefix("fd09:1::2/64")}}
	if change != nil {
		change(&cfg)
	}
	st, err := ustack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, kernel: r.kernel, router: r.router, st: st}
}

// connect makes a connection, opened by the kernel or by the stack.
func (r *rig) connect(version int, byKernel bool) (kernel *net.TCPConn, stack *ustack.TCPConn) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	if byKernel {
		l, err := r.st.Listen("tcp", net.JoinHostPort(stackAt[version], "0"))
		r.must(err)
		defer l.Close()
		r.must(r.kernel.Do(func() error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
			if err == nil {
				kernel = c.(*net.TCPConn)
			}
			return err
		}))
		c, err := l.Accept()
		r.must(err)
		stack = c.(*ustack.TCPConn)
	} else {
		var l net.Listener
		r.must(r.kernel.Do(func() (err error) {
			l, err = net.Listen("tcp", net.JoinHostPort(kernelAt[version], "0"))
			return err
		}))
		defer l.Close()
		c, err := r.st.Dial(ctx, "tcp", l.Addr().String())
		r.must(err)
		stack = c.(*ustack.TCPConn)
		k, err := l.Accept()
		r.must(err)
		kernel = k.(*net.TCPConn)
	}
	end := time.Now().Add(30 * time.Second)
	r.must(kernel.SetDeadline(end), stack.SetDeadline(end))
	r.t.Cleanup(func() { _, _ = kernel.Close(), stack.Close() })
	return kernel, stack
}

// info is TCP_INFO of the kernel's end.
func (r *rig) info(c *net.TCPConn) *unix.TCPInfo {
	r.t.Helper()
	raw, err := c.SyscallConn()
	r.must(err)
	var info *unix.TCPInfo
	var err2 error
	r.must(raw.Control(func(fd uintptr) {
		info, err2 = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}))
	r.must(err2)
	return info
}
