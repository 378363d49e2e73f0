package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// gvisorNet is gVisor's netstack through its adapter to package net.
type gvisorNet struct{ *stack.Stack }

const gvisorNIC = 1

// newGvisor makes the stack with what ustack has by default: CUBIC, SACK, RACK, buffers
// that grow to 6 and 4 MiB as on Linux, ports in TIME-WAIT used again.
func newGvisor(o order) (network, error) {
	link, err := gvisorLink(o)
	if err != nil {
		return nil, err
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
	})
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: 6 << 20}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: 4 << 20}
	reuse := tcpip.TCPTimeWaitReuseGlobal
	for _, option := range []tcpip.SettableTransportProtocolOption{&receive, &send, &reuse} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("gvisor: option %T: %v", option, err)
		}
	}
	if err := s.CreateNIC(gvisorNIC, link); err != nil {
		return nil, fmt.Errorf("gvisor: make a NIC: %v", err)
	}
	own := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(stackAddr), PrefixLen: prefixLen},
	}
	if err := s.AddProtocolAddress(gvisorNIC, own, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("gvisor: own address: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: gvisorNIC}})
	return gvisorNet{s}, nil
}

func address(s string) tcpip.Address { return tcpip.AddrFromSlice(net.ParseIP(s).To4()) }

// gvisorLink is the link endpoint of a device.
func gvisorLink(o order) (stack.LinkEndpoint, error) {
	switch o.Device {
	case "tun", "vnet":
		var fd int
		err := sysx.InNetNS(namespace(o.Peer), func(string) (err error) {
			if fd, err = openTUN(o.Device == "vnet"); err != nil {
				return err
			}
			return layTUN(peerNIC, o.MTU)
		})
		if err != nil {
			return nil, err
		}
		if o.Device == "vnet" {
			return newVnet(fd, o.MTU)
		}
		return fdbased.New(&fdbased.Options{FDs: []int{fd}, MTU: uint32(o.MTU)})
	case "packet", "ring":
		mode := fdbased.RecvMMsg
		if o.Device == "ring" {
			mode = fdbased.PacketMMap
		}
		nic, err := net.InterfaceByName(stackNIC)
		if err != nil {
			return nil, err
		}
		fd, err := openPacket(nic.Index)
		if err != nil {
			return nil, fmt.Errorf("packet socket: %w", err)
		}
		return fdbased.New(&fdbased.Options{
			FDs: []int{fd}, MTU: uint32(o.MTU), EthernetHeader: true, Address: tcpip.LinkAddress(nic.HardwareAddr),
			PacketDispatchMode: mode,
		})
	case "xdp":
		return gvisorXDP()
	}
	return nil, fmt.Errorf("gvisor has no device called %q", o.Device)
}

// openTUN makes the TUN device in the namespace of the calling thread.
func openTUN(vnet bool) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	req, err := unix.NewIfreq(peerNIC)
	if err != nil {
		return -1, err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if vnet {
		flags |= unix.IFF_VNET_HDR
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return -1, fmt.Errorf("make a TUN device: %w", err)
	}
	if vnet {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}
	return fd, err
}

// openPacket makes a packet socket with as much buffer as ustack's.
func openPacket(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	const all = unix.ETH_P_ALL << 8 & 0xff00
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}),
	)
}

func (n gvisorNet) listen() (net.Listener, error) {
	return gonet.ListenTCP(n.Stack, tcpip.FullAddress{NIC: gvisorNIC, Addr: address(stackAddr), Port: port}, ipv4.ProtocolNumber)
}

func (n gvisorNet) dial(ctx context.Context) (net.Conn, error) {
	return gonet.DialContextTCP(ctx, n.Stack, tcpip.FullAddress{NIC: gvisorNIC, Addr: address(peerAddr), Port: port}, ipv4.ProtocolNumber)
}

func (n gvisorNet) close() error {
	n.Stack.Close()
	return nil
}
