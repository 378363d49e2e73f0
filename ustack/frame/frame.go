// Package frame holds packets: one contiguous piece of memory each, with what a
// device said or is to do about checksum and segmentation, and the pools that
// they come from and go back to.
//
// A frame has one holder at a time, who may change it and must pass it on or free
// it. There are no reference counts: memory is never shared, and never cleared.
package frame

import "fmt"

// Frame is one packet and the memory that it lies in: head room, the packet, tail
// room. The zero Frame has no memory; frames come from a [Pool] or from [Of].
type Frame struct {
	// Next links frames to a [List]. It belongs to the holder of the frame.
	Next *Frame
	// Seq is for the holder: TCP keeps the sequence number of the first byte here.
	Seq uint32
	// Taken is for the holder too: the application has the bytes already.
	Taken bool

	Offload Offload

	buf  []byte
	off  int32 // where the packet begins in buf
	end  int32 // where it ends
	home *Pool // nil: memory of the collector
	at   int   // where buf lies in the region of its pool, bytes
}

// Checksum says what is known about the checksum of a frame's transport header.
type Checksum uint8

// States of a checksum.
const (
	// ChecksumFull: the field holds the whole checksum. Nobody has verified it.
	ChecksumFull Checksum = iota
	// ChecksumVerified: the device verified it on receive.
	ChecksumVerified
	// ChecksumPartial: the field holds the sum of the pseudo header. On send the
	// device completes it; on receive the frame never was on a wire and is good.
	ChecksumPartial
)

// Segmentation is a kind of frame that the device cuts to segments on send, or
// merged from them on receive.
type Segmentation uint8

// Kinds of segmentation.
const (
	SegmentNone Segmentation = iota
	SegmentTCP4
	SegmentTCP6
)

// Offload is what a device and the stack tell one another about a frame. Offsets
// are bytes from the beginning of the packet as the device sees it, its link header
// included.
type Offload struct {
	Checksum       Checksum
	Segmentation   Segmentation
	ChecksumStart  uint16 // where the sum begins; valid with ChecksumPartial
	ChecksumOffset uint16 // where its field is, from ChecksumStart
	HeaderLen      uint16 // bytes before the payload; valid if segmented
	SegmentSize    uint16 // payload bytes of each segment; valid if segmented
}

// Of returns a frame that holds b itself, with no room at its ends. Freeing it
// leaves it to the collector.
func Of(b []byte) *Frame { return &Frame{buf: b, end: int32(len(b))} }

// Bytes returns the packet. It stays valid until the frame is passed on.
func (f *Frame) Bytes() []byte { return f.buf[f.off:f.end:f.end] }

// Len returns the length of the packet in bytes.
func (f *Frame) Len() int { return int(f.end - f.off) }

// Cap returns the size of the frame's memory in bytes.
func (f *Frame) Cap() int { return len(f.buf) }

// Headroom returns the bytes free before the packet.
func (f *Frame) Headroom() int { return int(f.off) }

// Tail returns the memory after the packet, for a caller that fills it and then
// calls Extend.
func (f *Frame) Tail() []byte { return f.buf[f.end:] }

// Reset empties the frame and leaves headroom bytes before the packet to come.
func (f *Frame) Reset(headroom int) {
	if uint(headroom) > uint(len(f.buf)) {
		panic(fmt.Sprintf("frame: headroom of %d bytes in a frame of %d", headroom, len(f.buf)))
	}
	f.off, f.end = int32(headroom), int32(headroom)
	f.Offload, f.Taken = Offload{}, false
}

// Prepend makes the packet n bytes longer at its front and returns these bytes, not
// cleared. It panics if there is no room.
func (f *Frame) Prepend(n int) []byte {
	if uint(n) > uint(f.off) {
		panic(fmt.Sprintf("frame: prepend %d bytes to %d of headroom", n, f.off))
	}
	f.off -= int32(n)
	return f.buf[f.off : int(f.off)+n : int(f.off)+n]
}

// Extend makes the packet n bytes longer at its end and returns these bytes, not
// cleared. It panics if there is no room.
func (f *Frame) Extend(n int) []byte {
	if uint(n) > uint(len(f.buf)-int(f.end)) {
		panic(fmt.Sprintf("frame: extend by %d bytes with %d of tail room", n, len(f.buf)-int(f.end)))
	}
	at := int(f.end)
	f.end += int32(n)
	return f.buf[at : at+n : at+n]
}

// TrimFront drops the first n bytes of the packet. They stay as head room.
func (f *Frame) TrimFront(n int) {
	if uint(n) > uint(f.Len()) {
		panic(fmt.Sprintf("frame: trim %d of %d bytes", n, f.Len()))
	}
	f.off += int32(n)
}

// Truncate shortens the packet to its first n bytes.
func (f *Frame) Truncate(n int) {
	if uint(n) > uint(f.Len()) {
		panic(fmt.Sprintf("frame: truncate %d bytes to %d", f.Len(), n))
	}
	f.end = f.off + int32(n)
}

// Place returns where the packet begins in the region of p, in bytes, for devices that
// registered it; false for a frame that lies elsewhere.
func (f *Frame) Place(p *Pool) (at int, ok bool) {
	return f.at + int(f.off), f.home == p && p.region != nil
}
