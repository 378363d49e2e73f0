package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// What the addresses of transports other than IP begin with: unix:PATH, vsock:CID:PORT.
const (
	unixPrefix  = "unix:"
	vsockPrefix = "vsock:"
)

// address is one that a socket can be connected or bound to.
type address struct {
	text string
	sa   unix.Sockaddr
}

// parseAddress reads what a listener gave. A zone of a link-local address is that of the
// server's machine; the client's own is the device or the zone of its local address, where
// the flow has one.
func parseAddress(f *load.FlowSpec, to string) (address, error) {
	a := address{text: to}
	switch path, isUnix := strings.CutPrefix(to, unixPrefix); {
	case isUnix != (f.Transport == load.Unix) || strings.HasPrefix(to, vsockPrefix) != (f.Transport == load.VSock):
		return a, fmt.Errorf("address %q: not one of transport %q", to, f.Transport)
	case isUnix:
		a.sa = &unix.SockaddrUnix{Name: path}
		return a, nil
	case f.Transport == load.VSock:
		cid, port, err := parseVSock(to)
		a.sa = &unix.SockaddrVM{CID: cid, Port: port}
		return a, err
	}
	ap, err := netip.ParseAddrPort(to)
	if err != nil {
		return a, fmt.Errorf("address %q: want ADDRESS:PORT", to)
	}
	if ip := ap.Addr(); ip.IsLinkLocalUnicast() && ip.Is6() {
		switch {
		case f.Device != "":
			ap = netip.AddrPortFrom(ip.WithZone(f.Device), ap.Port())
		case f.Local.Addr().Zone() != "":
			ap = netip.AddrPortFrom(ip.WithZone(f.Local.Addr().Zone()), ap.Port())
		}
	}
	a.sa, err = sockaddr(ap)
	return a, err
}

func parseVSock(to string) (cid, port uint32, err error) {
	c, p, ok := strings.Cut(strings.TrimPrefix(to, vsockPrefix), ":")
	id, cerr := strconv.ParseUint(c, 10, 32)
	number, perr := strconv.ParseUint(p, 10, 32)
	if !ok || cerr != nil || perr != nil {
		return 0, 0, fmt.Errorf("address %q: want %sCID:PORT", to, vsockPrefix)
	}
	return uint32(id), uint32(number), nil
}

// sockaddr is an IP address as package unix takes it.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, nil
	}
	s := &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
			s.ZoneId = uint32(n)
			return s, nil
		}
		nic, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("address %v: no NIC %q here: name this machine's in \"device\" or in the zone of \"local\"", a, zone)
		}
		s.ZoneId = uint32(nic.Index)
	}
	return s, nil
}

// addrPort is an IP address as package netip has it.
func addrPort(sa unix.Sockaddr) (netip.AddrPort, error) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr)
		if sa.ZoneId != 0 {
			ip = ip.WithZone(strconv.Itoa(int(sa.ZoneId)))
			if nic, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
				ip = ip.WithZone(nic.Name)
			}
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("an address of type %T", sa)
}

// family is the address family of a flow's sockets, where sa is the end that is known.
func family(f *load.FlowSpec, sa unix.Sockaddr) int {
	switch f.Transport {
	case load.Unix:
		return unix.AF_UNIX
	case load.VSock:
		return unix.AF_VSOCK
	}
	if _, is6 := sa.(*unix.SockaddrInet6); is6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// protocol is the stream protocol of a flow's sockets.
func protocol(f *load.FlowSpec) int {
	switch f.Transport {
	case load.MPTCP:
		return unix.IPPROTO_MPTCP
	case load.Unix, load.VSock:
		return 0
	}
	return unix.IPPROTO_TCP
}

// own is where a server's sockets of a flow are bound to, and what to undo at the end.
func own(f *load.FlowSpec) (sa unix.Sockaddr, undo func(), err error) {
	undo = func() {}
	switch f.Transport {
	case load.Unix:
		dir, err := os.MkdirTemp("", "stackmeter-") // 0700: of this user alone
		if err != nil {
			return nil, undo, fmt.Errorf("a directory for the socket: %w", err)
		}
		return &unix.SockaddrUnix{Name: filepath.Join(dir, "data")}, func() { _ = os.RemoveAll(dir) }, nil
	case load.VSock:
		port := uint32(f.Local.Port())
		if port == 0 {
			port = unix.VMADDR_PORT_ANY
		}
		return &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}, undo, nil
	}
	if !f.Local.IsValid() {
		return nil, undo, errors.New("local: a server needs ADDRESS:PORT to listen on")
	}
	sa, err = sockaddr(f.Local)
	return sa, undo, err
}

// told is the address of a bound socket as clients are given it.
func told(fd int) (string, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("getsockname: %w", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrUnix:
		return unixPrefix + sa.Name, nil
	case *unix.SockaddrVM:
		return fmt.Sprintf("%s%d:%d", vsockPrefix, localCID(), sa.Port), nil
	}
	ap, err := addrPort(sa)
	return ap.String(), err
}

// localCID is this machine's address of vsock, or that of loopback where it has none.
func localCID() uint32 {
	fd, err := unix.Open("/dev/vsock", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return unix.VMADDR_CID_LOCAL
	}
	defer unix.Close(fd)
	cid, err := unix.IoctlGetUint32(fd, unix.IOCTL_VM_SOCKETS_GET_LOCAL_CID)
	if err != nil || cid == unix.VMADDR_CID_ANY || cid == unix.VMADDR_CID_HYPERVISOR {
		return unix.VMADDR_CID_LOCAL
	}
	return cid
}

// rawAddress is an address as connect(2) takes it, on the heap for raw calls.
type rawAddress struct {
	any    unix.RawSockaddrAny
	length uintptr
}

// raw writes an address as the kernel reads it. Ports of IP are big-endian.
func raw(sa unix.Sockaddr) *rawAddress {
	r := &rawAddress{}
	p := unsafe.Pointer(&r.any)
	swap := func(port int) uint16 {
		return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, uint16(port)))
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		*(*unix.RawSockaddrInet4)(p) = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: swap(sa.Port), Addr: sa.Addr}
		r.length = unix.SizeofSockaddrInet4
	case *unix.SockaddrInet6:
		*(*unix.RawSockaddrInet6)(p) = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: swap(sa.Port), Addr: sa.Addr, Scope_id: sa.ZoneId}
		r.length = unix.SizeofSockaddrInet6
	case *unix.SockaddrVM:
		*(*unix.RawSockaddrVM)(p) = unix.RawSockaddrVM{Family: unix.AF_VSOCK, Cid: sa.CID, Port: sa.Port}
		r.length = unix.SizeofSockaddrVM
	case *unix.SockaddrUnix:
		u := (*unix.RawSockaddrUnix)(p)
		u.Family = unix.AF_UNIX
		for i, c := range []byte(sa.Name) {
			u.Path[i] = int8(c)
		}
		r.length = unsafe.Offsetof(u.Path) + uintptr(len(sa.Name)) + 1
	}
	return r
}
