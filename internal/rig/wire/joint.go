package wire

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// joint is TCP segments that follow each other, which the kernel gets as one: what GRO does
// (net/ipv4/tcp_offload.c, tcp_gro_receive), and NICs with receive offload. The kernel's own GRO
// can't: a tap polls NAPI after each frame, and with gro_flush_timeout it sets a timer each, which costs
// more than it saves. Only frames whose checksum the tap left to the NIC are joined, one flow's at a time. The
// memory of the frames is not copied, and must stay until the pieces are written.
type joint struct {
	head  [longestHead]byte
	iov   [1 + mostJoined]unix.Iovec
	count int // frames
	bytes int // of payload
	size  int // payload of the first: the segment size
	over  bool
}

// mostJoined is how many frames are joined at most: segments of 1448 bytes in an IP packet of 64 KiB.
const mostJoined = 45

// Places in a frame behind the virtio-net header (linux/virtio_net.h; RFC 894, 791, 9293).
const (
	ipAt         = vnetBytes + 14
	tcpAt        = ipAt + 20
	longestHead  = tcpAt + 60
	needsSum     = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	gsoTCP4      = 1 // VIRTIO_NET_HDR_GSO_TCPV4
	flagsAt      = tcpAt + 13
	flagFIN      = 1
	flagPSH      = 8
	flagACK      = 16
	fragmentBits = 0x3fff // MF and the offset
)

// parse returns where the payload of a segment begins that may be joined, and where it ends, or 0.
func parse(frame []byte) (from, to int) {
	if len(frame) < tcpAt+20 || frame[0] != needsSum || frame[1] != 0 ||
		frame[vnetBytes+12] != 8 || frame[vnetBytes+13] != 0 || frame[ipAt] != 0x45 || frame[ipAt+9] != 6 ||
		binary.BigEndian.Uint16(frame[ipAt+6:])&fragmentBits != 0 {
		return 0, 0
	}
	from = tcpAt + int(frame[tcpAt+12]>>4)*4
	to = ipAt + int(binary.BigEndian.Uint16(frame[ipAt+2:]))
	if from < tcpAt+20 || from >= to || to > len(frame) || frame[flagsAt]&^(flagPSH|flagFIN) != flagACK {
		return 0, 0
	}
	return from, to
}

// begin takes a frame as the first, or says that it can't be joined with any.
func (j *joint) begin(frame []byte) bool {
	from, to := parse(frame)
	if from == 0 || frame[flagsAt] != flagACK {
		return false
	}
	copy(j.head[:from], frame)
	j.count, j.over = 0, false
	j.size, j.bytes = to-from, 0
	j.iov[0].Base = &j.head[0]
	j.iov[0].SetLen(from)
	j.take(frame[from:to])
	return true
}

func (j *joint) take(payload []byte) {
	j.count++
	j.iov[j.count].Base = &payload[0]
	j.iov[j.count].SetLen(len(payload))
	j.bytes += len(payload)
}

// full reports whether no frame can be added.
func (j *joint) full() bool { return j.over || j.count == mostJoined }

// add takes the next frame, if it is the segment that follows.
func (j *joint) add(frame []byte) bool {
	from, to := parse(frame)
	h := &j.head
	if from == 0 || from != j.headBytes() || to-from > j.size || from-ipAt+j.bytes+to-from > 65535 ||
		binary.BigEndian.Uint32(frame[tcpAt+4:]) != binary.BigEndian.Uint32(h[tcpAt+4:])+uint32(j.bytes) ||
		!bytes.Equal(frame[vnetBytes:ipAt+2], h[vnetBytes:ipAt+2]) || // Ethernet, version, type of service
		!bytes.Equal(frame[ipAt+6:ipAt+9], h[ipAt+6:ipAt+9]) || // flags, time to live
		!bytes.Equal(frame[ipAt+12:tcpAt+4], h[ipAt+12:tcpAt+4]) || // addresses and ports
		!bytes.Equal(frame[tcpAt+8:tcpAt+12], h[tcpAt+8:tcpAt+12]) || // what it acknowledges
		!bytes.Equal(frame[tcpAt+14:tcpAt+16], h[tcpAt+14:tcpAt+16]) || // window
		!bytes.Equal(frame[tcpAt+20:from], h[tcpAt+20:from]) { // options
		return false
	}
	h[flagsAt] |= frame[flagsAt]
	j.over = to-from < j.size || frame[flagsAt] != flagACK
	j.take(frame[from:to])
	return true
}

func (j *joint) headBytes() int { return int(j.iov[0].Len) }

// pieces are what is to be written, valid until the next begin.
func (j *joint) pieces() []unix.Iovec {
	h := j.head[:j.headBytes()]
	h[1] = gsoTCP4
	binary.NativeEndian.PutUint16(h[2:], uint16(len(h)-vnetBytes)) // hdr_len
	binary.NativeEndian.PutUint16(h[4:], uint16(j.size))           // gso_size
	length := len(h) - ipAt + j.bytes
	binary.BigEndian.PutUint16(h[ipAt+2:], uint16(length))
	binary.BigEndian.PutUint16(h[ipAt+10:], 0)
	binary.BigEndian.PutUint16(h[ipAt+10:], ^sum(h[ipAt:tcpAt], 0))
	// The checksum that is still to be made begins with the pseudo header's.
	binary.BigEndian.PutUint16(h[tcpAt+16:], sum(h[ipAt+12:tcpAt], 6+uint32(length-20)))
	return j.iov[:1+j.count]
}

// sum is the sum of 16-bit words in one's complement (RFC 1071); b has an even length.
func sum(b []byte, s uint32) uint16 {
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
