// Package xdp attaches a stack to a network interface through AF_XDP sockets
// (Documentation/networking/af_xdp.rst of the kernel): frames for the stack leave the
// driver before the kernel's own stack sees them. Each receive queue of the interface
// gets a socket, and thus a shard, of its own.
//
// An XDP program picks what is the stack's by destination address: IP packets to
// Config.Addresses, and the ARP requests, ARP replies and neighbour solicitations for
// them. All else goes on to the kernel, which may use the interface at the same time
// with other addresses. The program is attached through a link that belongs to the
// process: it is detached when the device is closed or the process ends, however it
// ends. Frames with a VLAN tag, multicast and broadcast, but for the above, are left to
// the kernel.
//
// The frames of the stack's own pool are the memory that the kernel receives into and
// sends from, as far as Config.MemoryBytes goes, so that a packet is not copied between
// device and stack. The kernel itself still copies unless the driver does zero-copy,
// which is tried first; [Device.Mode] tells what came of it. Where packets are longer
// than a page holds, they come in pieces (XDP_USE_SG, since Linux 6.6) that are put
// together by a copy.
//
// On veth the kernel at the other end leaves checksums out that nothing will look at.
// Such segments are known by a checksum field that holds the bare sum of the pseudo
// header, and taken as good. Segments longer than the MTU are no longer made by the
// other end while a program is attached.
//
// Linux only, 5.11 or later; it needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF over the
// network namespace of the calling thread.
package xdp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Copying says who may copy a frame between the NIC's memory and the stack's.
type Copying uint8

// Ways of copying.
const (
	// CopyIfNeeded asks for zero-copy and is content with the kernel's copy.
	CopyIfNeeded Copying = iota
	// CopyNever refuses a driver without zero-copy.
	CopyNever
	// CopyAlways does not ask for zero-copy.
	CopyAlways
)

// Config describes a device.
type Config struct {
	Interface string // its name

	// Addresses are those of the stack, which must not be the kernel's. None: all
	// frames are the stack's, and the kernel gets nothing from the interface.
	Addresses []netip.Addr

	// Queues is how many of the interface's receive queues are served, from the first;
	// 0: all. What arrives on the others goes to the kernel.
	Queues int

	Copying Copying

	// MemoryBytes is how much of each shard's pool is locked in memory and shared with
	// the kernel; 0: 32 MiB. Frames beyond it are copied.
	MemoryBytes int
}

// Mode is how frames travel.
type Mode struct {
	Native   bool // the program runs in the driver; else on the kernel's own buffers, which is slow
	ZeroCopy bool // the NIC itself reads and writes the stack's memory; true if so of all queues
	Pieces   bool // packets are longer than a page holds, and are put together by a copy
}

// String returns words for people, such as "native, copied by the kernel".
func (m Mode) String() string {
	s := "generic"
	if m.Native {
		s = "native"
	}
	if m.ZeroCopy {
		s += ", zero-copy"
	} else {
		s += ", copied by the kernel"
	}
	if m.Pieces {
		s += ", in pieces"
	}
	return s
}

const (
	ethernetLen   = 14
	vlanLen       = 4
	stackHeadroom = 128 // what a stack leaves free in frames
	// kernelHeadroom is what the kernel leaves free before a packet in each chunk
	// (XDP_PACKET_HEADROOM).
	kernelHeadroom = unix.XDP_PACKET_HEADROOM
	// piecesMax is how many pieces a packet may have: those of an skb, and its head.
	piecesMax = 18

	memoryDefault = 32 << 20
)

// Device is a network interface.
type Device struct {
	info  ustack.DeviceInfo
	cfg   Config
	nic   nic
	prog  *program
	taken int // socket that joined multicast groups; -1
	// sockets are those of the queues, of the namespace of New's caller; -1 once they
	// are the queue's.
	sockets []int

	mu   sync.Mutex
	mode Mode
}

// New attaches to an interface. Until the stack opens the queues, frames go to the
// kernel.
func New(cfg Config) (*Device, error) {
	d, err := newDevice(cfg)
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w: CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF are needed", err)
	}
	if err != nil {
		return nil, fmt.Errorf("xdp: %s: %w", cfg.Interface, err)
	}
	return d, nil
}

func newDevice(cfg Config) (*Device, error) {
	if cfg.MemoryBytes == 0 {
		cfg.MemoryBytes = memoryDefault
	}
	if cfg.MemoryBytes < memoryMin {
		return nil, fmt.Errorf("memory of %d bytes for frames: want at least %d", cfg.MemoryBytes, memoryMin)
	}
	if len(cfg.Addresses) > addressesMax {
		return nil, fmt.Errorf("%d addresses: at most %d can be told from the kernel's", len(cfg.Addresses), addressesMax)
	}
	iface, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		return nil, err
	}
	d := &Device{cfg: cfg, taken: -1}
	if len(iface.HardwareAddr) != len(d.info.HWAddr) {
		return nil, errors.New("it has no Ethernet address")
	}
	if d.nic, err = look(cfg.Interface, iface.Index); err != nil {
		return nil, err
	}
	if cfg.Queues == 0 {
		cfg.Queues = d.nic.queues
	}
	if cfg.Queues < 0 || cfg.Queues > d.nic.queues {
		return nil, fmt.Errorf("it has %d receive queues, not %d: 'ethtool -l' tells, 'ethtool -L' changes them", d.nic.queues, cfg.Queues)
	}
	d.info = ustack.DeviceInfo{
		Name: cfg.Interface, Link: ustack.LinkEthernet, MTU: iface.MTU, Queues: cfg.Queues,
		// A frame must hold a packet behind the kernel's headroom, which is more than the stack's.
		ReceiveSize: kernelHeadroom - stackHeadroom + iface.MTU + ethernetLen + vlanLen,
	}
	copy(d.info.HWAddr[:], iface.HardwareAddr)
	d.mode.Pieces = d.info.ReceiveSize+stackHeadroom > os.Getpagesize()
	d.mode.ZeroCopy = true // until a queue says otherwise
	if n := iface.MTU + ethernetLen + vlanLen; d.mode.Pieces && n > piecesMax*(os.Getpagesize()-kernelHeadroom) {
		return nil, fmt.Errorf("MTU %d: more than %d pieces of a page hold: set a smaller one", iface.MTU, piecesMax)
	}
	if d.taken, err = takeMulticast(iface.Index, cfg.Addresses); err != nil {
		return nil, err
	}
	for range cfg.Queues {
		fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("AF_XDP socket: %w", err), d.Close())
		}
		d.sockets = append(d.sockets, fd)
	}
	if d.prog, d.mode.Native, err = attach(iface.Index, cfg.Queues, cfg.Addresses, d.mode.Pieces); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Info implements ustack.Device.
func (d *Device) Info() ustack.DeviceInfo { return d.info }

// Mode returns how frames travel. ZeroCopy is meaningless before a stack has the device.
func (d *Device) Mode() Mode {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mode
}

// Open implements ustack.Device.
func (d *Device) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	q, zero, err := open(d, i, pool)
	if err != nil {
		return nil, fmt.Errorf("xdp: %s: queue %d: %w", d.cfg.Interface, i, err)
	}
	d.mu.Lock()
	d.mode.ZeroCopy = d.mode.ZeroCopy && zero
	d.mu.Unlock()
	return q, nil
}

// Close implements ustack.Device: the program is detached.
func (d *Device) Close() error {
	var errs []error
	if d.prog != nil {
		errs = append(errs, d.prog.close())
		d.prog = nil
	}
	for i, fd := range d.sockets {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
			d.sockets[i] = -1
		}
	}
	if d.taken >= 0 {
		errs = append(errs, unix.Close(d.taken))
		d.taken = -1
	}
	return errors.Join(errs...)
}
