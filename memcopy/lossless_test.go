package memcopy

import (
	"bytes"
	"encoding/binary"
	"math"
	"runtime"
	"testing"
)

// awkward are doubles and 64-bit integers that a floating-point copy may change.
var awkward = []uint64{
	0x7ff0000000000001, 0xfff0000000000001, // signalling NaNs
	0x7ff7ffffffffffff, 0x7ff8000000000001, 0xfff8dead0000beef, // and quiet ones
	math.Float64bits(math.Inf(1)), math.Float64bits(math.Copysign(0, -1)),
	1, 0x000fffffffffffff, // denormals
	math.MaxUint64, 1 << 63, math.MaxInt64, 0x8000000000000001, // the 'integer indefinite' and its neighbours
}

func awkwardBytes() []byte {
	var b []byte
	for range 20 {
		for _, v := range awkward {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}

// TestEveryBitPattern sends NaNs, denormals and extreme integers through each copy.
func TestEveryBitPattern(t *testing.T) {
	src := awkwardBytes()
	for _, r := range available(t) {
		dst := make([]byte, len(src))
		if _, _, copies := run(&r, dst, src); copies && !bytes.Equal(dst, src) {
			t.Errorf("%s changed the bits of a NaN, denormal or extreme integer", r.Name)
		}
	}
}

// TestX87DoubleIsNoCopy shows why the Berkeley method must go through integers.
func TestX87DoubleIsNoCopy(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the x87 is part of x86 CPUs only")
	}
	r, ok := Lookup("x87-double")
	if !ok || r.Lossless {
		t.Fatalf("x87-double: in the table %v, lossless %v", ok, r.Lossless)
	}
	src := awkwardBytes()
	dst := make([]byte, len(src))
	r.Copy(dst, src)
	got, want := binary.LittleEndian.Uint64(dst), uint64(0x7ff8000000000001)
	if got != want {
		t.Errorf("signalling NaN came out as %#x, want the quiet %#x", got, want)
	}
	if !bytes.Equal(dst[5*8:13*8], src[5*8:13*8]) {
		t.Error("FLD and FSTP changed more than NaNs")
	}
}

// TestX87StackIsLeftEmpty copies each length nine times on one thread: a register
// of the x87 stack left behind by a call would overflow its eight, and one popped too
// many would underflow, and both store the 'integer indefinite'.
func TestX87StackIsLeftEmpty(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the x87 is part of x86 CPUs only")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	src, _ := twin(300)
	dst := make([]byte, 300)
	for _, name := range []string{"x87", "x87-double"} {
		r, ok := Lookup(name)
		if !ok {
			t.Fatalf("%s is not in the table", name)
		}
		x87, _ := Lookup("x87")
		for n := range 300 {
			for range 9 {
				r.Copy(dst[:n], src)
			}
			clear(dst)
			if x87.Copy(dst[:n], src); !bytes.Equal(dst[:n], src[:n]) {
				t.Fatalf("after nine copies of %d bytes by %s the next differs", n, name)
			}
		}
	}
}
