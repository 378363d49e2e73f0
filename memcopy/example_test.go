package memcopy_test

import (
	"fmt"

	"github.com/stackmeter/stackmeter/memcopy"
)

// The checksum of a UDP datagram over IPv4 (RFC 768): pseudo header, header, and a
// payload of odd length that is copied to its place in the same pass.
func ExamplePartial() {
	src, dst := [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2}
	payload := []byte("hello")
	packet := make([]byte, 8+len(payload))
	copy(packet, []byte{0x30, 0x39, 0x00, 0x35, 0x00, 13, 0, 0})

	var p memcopy.Partial
	p.Add(src[:])
	p.Add(dst[:])
	p.AddUint16(17)
	p.AddUint16(uint16(len(packet)))
	p.Add(packet[:8])
	p.CopyAdd(packet[8:], payload)
	fmt.Printf("%#04x %q\n", p.Checksum(), packet[8:])
	// Output: 0x0790 "hello"
}

// Two CPUs sum a part each; the parts are combined in the order of the bytes.
func ExamplePartial_Combine() {
	data := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	var front, back memcopy.Partial
	back.Add(data[3:])
	front.Add(data[:3])
	front.Combine(back)
	fmt.Printf("%#04x\n", front.Fold())
	// Output: 0xddf2
}
