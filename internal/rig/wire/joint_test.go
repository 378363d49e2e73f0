package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// segment is a frame as a tap gives it: virtio-net, Ethernet, IPv4 and TCP with a timestamp.
func segment(sequence uint32, payload []byte) []byte {
	f := make([]byte, tcpAt+32, tcpAt+32+len(payload))
	f[0] = needsSum
	binary.NativeEndian.PutUint16(f[6:], tcpAt-vnetBytes)
	binary.NativeEndian.PutUint16(f[8:], 16)
	copy(f[vnetBytes:], "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00")
	copy(f[ipAt:], "\x45\x00\x00\x00\x12\x34\x40\x00\x40\x06\x00\x00\xc6\x12\x00\x02\xc6\x12\x00\x01")
	binary.BigEndian.PutUint16(f[ipAt+2:], uint16(52+len(payload)))
	binary.BigEndian.PutUint16(f[tcpAt:], 40000)
	binary.BigEndian.PutUint16(f[tcpAt+2:], 5001)
	binary.BigEndian.PutUint32(f[tcpAt+4:], sequence)
	f[tcpAt+12], f[flagsAt] = 8<<4, flagACK
	binary.BigEndian.PutUint16(f[tcpAt+14:], 502)
	copy(f[tcpAt+20:], "\x01\x01\x08\x0a\x00\x00\x10\x00\x00\x00\x20\x00")
	return append(f, payload...)
}

// gather is what the kernel gets of pieces.
func gather(pieces []unix.Iovec) (out []byte) {
	for _, p := range pieces {
		out = append(out, unsafe.Slice(p.Base, p.Len)...)
	}
	return out
}

// TestJoint joins streams and wants the payload whole, the head as one of a long packet, and as
// many segments in one as follow each other.
func TestJoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		var j joint
		size := 1 + rng.IntN(1448)
		sequence := rng.Uint32() // may wrap
		var payload []byte
		next := func(n int) []byte {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			return segment(sequence+uint32(len(payload)), p)
		}
		first := next(size)
		keep := slices.Clone(first)
		if !j.begin(first) {
			t.Fatal("refuses a plain segment")
		}
		payload = append(payload, first[tcpAt+32:]...)
		frames := 1
		for want := 1 + rng.IntN(60); frames < want && !j.full(); frames++ {
			n, flags := size, byte(flagACK)
			if rng.IntN(40) == 0 {
				n = 1 + rng.IntN(size)
			}
			if rng.IntN(40) == 0 {
				flags |= flagPSH
			}
			f := next(n)
			f[flagsAt] = flags
			if !j.add(f) {
				t.Fatalf("refuses segment %d of %d bytes", frames, n)
			}
			payload = append(payload, f[tcpAt+32:]...)
			if short := n < size || flags != flagACK; short && !j.full() {
				t.Error("goes on behind a short or pushed segment")
			}
		}
		if !bytes.Equal(first, keep) {
			t.Fatal("changed the frame")
		}
		out := gather(j.pieces())
		if !bytes.Equal(out[tcpAt+32:], payload) {
			t.Fatalf("%d bytes of payload, want %d", len(out)-tcpAt-32, len(payload))
		}
		if got := int(binary.BigEndian.Uint16(out[ipAt+2:])); got != 52+len(payload) {
			t.Errorf("IP's length %d, want %d", got, 52+len(payload))
		}
		if out[1] != gsoTCP4 || int(binary.NativeEndian.Uint16(out[4:])) != size || int(binary.NativeEndian.Uint16(out[2:])) != tcpAt-vnetBytes+32 {
			t.Errorf("virtio-net header %x", out[:vnetBytes])
		}
		if s := sum(out[ipAt:tcpAt], 0); s != 0xffff {
			t.Errorf("IP's checksum is off: %x", s)
		}
	}
}

// TestJointRefuses wants nothing joined that GRO would not join.
func TestJointRefuses(t *testing.T) {
	payload := make([]byte, 100)
	for what, change := range map[string]func(f []byte){
		"other sequence":     func(f []byte) { f[tcpAt+7]++ },
		"other port":         func(f []byte) { f[tcpAt+1]++ },
		"other address":      func(f []byte) { f[ipAt+15]++ },
		"other time to live": func(f []byte) { f[ipAt+8]-- },
		"congestion mark":    func(f []byte) { f[ipAt+1] = 3 },
		"other timestamp":    func(f []byte) { f[tcpAt+27]++ },
		"other window":       func(f []byte) { f[tcpAt+15]++ },
		"acknowledges more":  func(f []byte) { f[tcpAt+11]++ },
		"whole checksum":     func(f []byte) { f[0] = 0 },
		"fragment":           func(f []byte) { f[ipAt+6] = 0x20 },
		"UDP":                func(f []byte) { f[ipAt+9] = 17 },
		"reset":              func(f []byte) { f[flagsAt] |= 4 },
		"long head":          func(f []byte) { f[ipAt] = 0x46 },
		"bad data offset":    func(f []byte) { f[tcpAt+12] = 4 << 4 },
		"IPv6":               func(f []byte) { f[vnetBytes+12], f[vnetBytes+13] = 0x86, 0xdd },
		"length beyond":      func(f []byte) { f[ipAt+2] = 0xff },
	} {
		var j joint
		if !j.begin(segment(1, payload)) {
			t.Fatal("refuses a plain segment")
		}
		f := segment(101, payload)
		change(f)
		if j.add(f) {
			t.Errorf("joins a segment with: %s", what)
		}
	}
	var j joint
	j.begin(segment(1, payload))
	if j.add(segment(101, make([]byte, 101))) {
		t.Error("joins a segment that is longer than the first")
	}
	for n := range tcpAt + 40 {
		if j.begin(segment(1, payload)[:n]) {
			t.Errorf("takes a frame of %d bytes", n)
		}
	}
}
