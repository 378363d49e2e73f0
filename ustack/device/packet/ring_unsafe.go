package packet

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// word returns the word of a ring at an offset.
func word(b []byte, at int) *uint32 { return (*uint32)(unsafe.Pointer(&b[at])) }

func header2(b []byte) *unix.Tpacket2Hdr { return (*unix.Tpacket2Hdr)(unsafe.Pointer(&b[0])) }

func header3(b []byte) *unix.Tpacket3Hdr { return (*unix.Tpacket3Hdr)(unsafe.Pointer(&b[0])) }

// blockHeader returns what follows version and offset in a block's description.
func blockHeader(b []byte) *unix.TpacketHdrV1 {
	var d unix.TpacketBlockDesc
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&b[unsafe.Offsetof(d.Hdr)]))
}
