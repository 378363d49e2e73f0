// Package vnet reads and writes the header that the kernel puts before packets whose
// checksum or segmentation is left to the other side: struct virtio_net_hdr of
// include/uapi/linux/virtio_net.h, in the machine's byte order, as TUN and packet
// sockets have it.
package vnet

import (
	"encoding/binary"

	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Len is the length of the header in bytes.
const Len = 10

const (
	needsChecksum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	dataValid     = 2 // VIRTIO_NET_HDR_F_DATA_VALID

	segmentNone = 0 // VIRTIO_NET_HDR_GSO_*
	segmentTCP4 = 1
	segmentTCP6 = 4
	segmentECN  = 0x80
)

// Get reads the header b. It returns false if the packet is of a kind that was not
// asked for.
func Get(b []byte) (o frame.Offload, ok bool) {
	ne := binary.NativeEndian
	switch b[1] &^ segmentECN {
	case segmentNone:
	case segmentTCP4:
		o.Segmentation = frame.SegmentTCP4
	case segmentTCP6:
		o.Segmentation = frame.SegmentTCP6
	default:
		return o, false
	}
	o.HeaderLen, o.SegmentSize = ne.Uint16(b[2:]), ne.Uint16(b[4:])
	switch {
	case b[0]&needsChecksum != 0:
		o.Checksum = frame.ChecksumPartial
		o.ChecksumStart, o.ChecksumOffset = ne.Uint16(b[6:]), ne.Uint16(b[8:])
	case b[0]&dataValid != 0:
		o.Checksum = frame.ChecksumVerified
	}
	return o, true
}

// Put writes the header for a packet to send to b.
func Put(b []byte, o *frame.Offload) {
	clear(b[:Len])
	ne := binary.NativeEndian
	if o.Checksum == frame.ChecksumPartial {
		b[0] = needsChecksum
		ne.PutUint16(b[6:], o.ChecksumStart)
		ne.PutUint16(b[8:], o.ChecksumOffset)
	}
	switch o.Segmentation {
	case frame.SegmentTCP4:
		b[1] = segmentTCP4
	case frame.SegmentTCP6:
		b[1] = segmentTCP6
	default:
		return
	}
	ne.PutUint16(b[2:], o.HeaderLen)
	ne.PutUint16(b[4:], o.SegmentSize)
}
