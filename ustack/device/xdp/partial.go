package xdp

import (
	"encoding/binary"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

const (
	udpChecksumAt = 6
	fragmentMask  = 0x3fff // more fragments, and the offset
)

// markPartial tells of a TCP or UDP packet whose checksum field holds the sum of the
// pseudo header that it was left to hardware that is not there. By chance that is true
// of one whole checksum in 65535, which is then not verified: no loss on a link without
// a wire.
func markPartial(f *frame.Frame) {
	b := f.Bytes()
	if len(b) < lenIP4 {
		return
	}
	var src, dst wire.Addr
	var proto byte
	var start, end int
	switch binary.BigEndian.Uint16(b[atType:]) {
	case wire.EtherIP4:
		ip := b[ethernetLen:]
		if binary.BigEndian.Uint16(ip[6:])&fragmentMask != 0 {
			return
		}
		src, dst, proto = wire.Addr4(ip[12:]), wire.Addr4(ip[16:]), ip[9]
		start = ethernetLen + int(ip[0]&0xf)*4
		end = ethernetLen + int(binary.BigEndian.Uint16(ip[2:]))
	case wire.EtherIP6:
		if len(b) < lenIP6 {
			return
		}
		ip := b[ethernetLen:]
		src, dst, proto = wire.Addr(ip[8:24]), wire.Addr(ip[24:40]), ip[6]
		start = lenIP6
		end = lenIP6 + int(binary.BigEndian.Uint16(ip[4:]))
	}
	var field int
	switch proto {
	case wire.ProtoTCP:
		field = wire.TCPChecksumAt
	case wire.ProtoUDP:
		field = udpChecksumAt
	default:
		return
	}
	if start+field+2 > end || end > len(b) {
		return
	}
	sum := wire.Pseudo(&src, &dst, proto, end-start)
	if binary.BigEndian.Uint16(b[start+field:]) != sum.Fold() {
		return
	}
	f.Offload.Checksum, f.Offload.ChecksumStart, f.Offload.ChecksumOffset = frame.ChecksumPartial, uint16(start), uint16(field)
}
