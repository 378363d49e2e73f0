package scenario

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/tun"
	"github.com/stackmeter/stackmeter/ustack/internal/netns"
)

// TestKernelNoticesThatAnAddressIsTaken gives the kernel an address that the stack has:
// its duplicate address detection must hear so from the stack, and the stack's from the
// kernel.
func TestKernelNoticesThatAnAddressIsTaken(t *testing.T) {
	space := netns.New(t)
	r := &rig{t: t, kernel: space}
	var dev *tun.Device
	r.must(space.Do(func() (err error) {
		dev, err = tun.New(tun.Config{Name: "tap", TAP: true})
		return err
	}), space.Up("tap", 0, "10.9.2.1/24", "fd09:2::1/64"))
	st, err := ustack.New(ustack.Config{Device: dev, Addresses: []netip.Prefix{
		netip.MustParsePrefix("10.9.2.1/24"), netip.MustParsePrefix("fd09:2::2/64"),
	}})
	r.must(err)
	defer st.Close()
	list, err := st.Duplicates(t.Context())
	if err != nil || len(list) != 1 || list[0] != netip.MustParseAddr("10.9.2.1") {
		t.Errorf("the stack finds %v, %v: the kernel has 10.9.2.1", list, err)
	}
	r.must(space.Sysctl("ipv6/conf/tap/accept_dad", "1"), space.Do(func() error {
		link, err := netlink.LinkByName("tap")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("fd09:2::2/64")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, addr)
	}))
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		failed := false
		r.must(space.Do(func() error {
			link, err := netlink.LinkByName("tap")
			if err != nil {
				return err
			}
			list, err := netlink.AddrList(link, unix.AF_INET6)
			for _, a := range list {
				failed = failed || a.IP.String() == "fd09:2::2" && a.Flags&unix.IFA_F_DADFAILED != 0
			}
			return err
		}))
		if failed {
			return
		}
	}
	t.Error("the kernel took an address that the stack has")
}
