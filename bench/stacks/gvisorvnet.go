package main

import (
	"encoding/binary"
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/rawfile"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/stopfd"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// vnetLink is a link endpoint for a TUN device with vnet_hdr, which gVisor has not: its
// fdbased one gives segmentation to sockets only. Super-packets pass both ways, received
// into memory of gVisor's own pools, without a copy but of the small ones, and are
// processed by the goroutine that read them.
type vnetLink struct {
	fd   int
	mtu  uint32
	stop stopfd.StopFD

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher
	done       sync.WaitGroup
}

const (
	vnetLen   = 10
	longest   = buffer.MaxChunkSize
	smallView = 2048
)

func newVnet(fd, mtu int) (*vnetLink, error) {
	stop, err := stopfd.New()
	return &vnetLink{fd: fd, mtu: uint32(mtu), stop: stop}, err
}

func (l *vnetLink) MTU() uint32                             { return l.mtu }
func (l *vnetLink) SetMTU(uint32)                           {}
func (l *vnetLink) MaxHeaderLength() uint16                 { return 0 }
func (l *vnetLink) LinkAddress() tcpip.LinkAddress          { return "" }
func (l *vnetLink) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *vnetLink) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (l *vnetLink) AddHeader(*stack.PacketBuffer)           {}
func (l *vnetLink) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *vnetLink) Close()                                  {}
func (l *vnetLink) SetOnCloseAction(func())                 {}
func (l *vnetLink) Wait()                                   { l.done.Wait() }
func (l *vnetLink) GSOMaxSize() uint32                      { return 1 << 16 }
func (l *vnetLink) SupportedGSO() stack.SupportedGSO        { return stack.HostGSOSupported }
func (l *vnetLink) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

func (l *vnetLink) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.dispatcher == nil && d != nil
	l.dispatcher = d
	if first {
		l.done.Go(l.receive)
	}
}

func (l *vnetLink) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// receive reads packets until the device is gone.
func (l *vnetLink) receive() {
	hdr := make([]byte, vnetLen)
	iov := make([]unix.Iovec, 2)
	iov[0].Base = &hdr[0]
	iov[0].SetLen(vnetLen)
	var big *buffer.View
	for {
		if big == nil {
			big = buffer.NewViewSize(longest)
			iov[1].Base = big.BasePtr()
			iov[1].SetLen(longest)
		}
		n, no := rawfile.BlockingReadvUntilStopped(l.stop.EFD, l.fd, iov)
		if no != 0 || n <= vnetLen {
			return
		}
		n -= vnetLen
		view := big
		if n <= smallView {
			view = buffer.NewViewWithData(big.AsSlice()[:n])
		} else {
			view.CapLength(n)
			big = nil
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(view)})
		pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
		pkt.RXChecksumValidated = true
		l.mu.RLock()
		d := l.dispatcher
		l.mu.RUnlock()
		if d == nil {
			pkt.DecRef()
			return
		}
		d.DeliverNetworkPacket(pkt.NetworkProtocolNumber, pkt)
		pkt.DecRef()
	}
}

// WritePackets implements stack.LinkWriter.
func (l *vnetLink) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range pkts.AsSlice() {
		if no := l.write(pkt); no != 0 {
			return i, tcpip.TranslateErrno(no)
		}
	}
	return pkts.Len(), nil
}

func (l *vnetLink) write(pkt *stack.PacketBuffer) unix.Errno {
	var hdr [vnetLen]byte
	if g := &pkt.GSOOptions; g.Type != stack.GSONone {
		ne := binary.NativeEndian
		ne.PutUint16(hdr[2:], uint16(pkt.HeaderSize()))
		if g.NeedsCsum {
			hdr[0] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
			ne.PutUint16(hdr[6:], g.L3HdrLen)
			ne.PutUint16(hdr[8:], g.CsumOffset)
		}
		if pkt.Data().Size() > int(g.MSS) {
			hdr[1] = unix.VIRTIO_NET_HDR_GSO_TCPV4
			ne.PutUint16(hdr[4:], g.MSS)
		}
	}
	views := pkt.AsSlices()
	var array [8]unix.Iovec
	iov := rawfile.AppendIovecFromBytes(array[:0], hdr[:], rawfile.MaxIovs)
	for _, v := range views {
		iov = rawfile.AppendIovecFromBytes(iov, v, rawfile.MaxIovs)
	}
	return rawfile.NonBlockingWriteIovec(l.fd, iov)
}
