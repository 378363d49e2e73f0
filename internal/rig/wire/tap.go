package wire

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

const tunDevice = "/dev/net/tun"

// vnetBytes is struct virtio_net_hdr (include/uapi/linux/virtio_net.h), which says that a frame's checksum is
// still to be made: NICs make and check them, and memory does not corrupt.
const vnetBytes = 10

// openTaps makes the taps of a host in the network namespace of a process.
func openTaps(pid int, nics []rig.NIC) (taps []*os.File, err error) {
	defer func() {
		if err != nil {
			for _, f := range taps {
				f.Close()
			}
			taps = nil
		}
	}()
	err = sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", pid), func(string) error {
		for _, n := range nics {
			f, err := openTap(n.Name)
			if err != nil {
				return fmt.Errorf("make the tap %s: %w", n.Name, err)
			}
			taps = append(taps, f)
		}
		return nil
	})
	return taps, err
}

// openTap makes a tap whose frames go through NAPI and, with it, GRO, in the context of the thread
// that writes them (drivers/net/tun.c, tun_get_user). The file blocks: only then does the kernel
// build a frame in one piece (tun_can_build_skb).
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENODEV) {
			return nil, &host.NotSupportedError{What: "the rig wire", Reason: tunDevice + ": " + err.Error(), Mend: "load the module tun, let users open " + tunDevice + " (docker run --device " + tunDevice + "), or use --rig veth"}
		}
		return nil, err
	}
	f := os.NewFile(uintptr(fd), tunDevice)
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_NAPI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM)
	}
	if err == nil {
		err = queueLength(name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// queueFrames is how much the kernel may have given to a NIC that is not sent yet. A tap drops what
// is more, where a NIC would stop its queue: it must hold what windows let senders send.
const queueFrames = 16384

// queueLength makes a tap of the calling thread's network namespace hold queueFrames.
func queueLength(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetTxQLen(link, queueFrames) // the ioctl is root's of the machine
	}
	if err != nil {
		return fmt.Errorf("lengthen its queue: %w", err)
	}
	return nil
}

// pointer is the address of the first byte of memory that does not move: of the heap or of a
// mapping. The caller keeps it alive.
func pointer(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
