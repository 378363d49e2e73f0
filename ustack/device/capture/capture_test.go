package capture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/capture"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

func newStack(t *testing.T, d ustack.Device, a string) *ustack.Stack {
	t.Helper()
	st, err := ustack.New(ustack.Config{Device: d, Addresses: []netip.Prefix{netip.MustParsePrefix(a)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// TestCapture reads back what was captured of a conversation.
func TestCapture(t *testing.T) {
	da, db, err := pipe.New(pipe.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	d, err := capture.New(da, &file, capture.Config{Snap: 60})
	if err != nil {
		t.Fatal(err)
	}
	a, b := newStack(t, d, "10.0.0.1/24"), newStack(t, db, "10.0.0.2/24")
	l, err := b.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Dial(t.Context(), "tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(e, make([]byte, 5000)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write([]byte("seen")); err != nil { // a packet in, beside the handshake's
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	_, _ = a.Close(), d.Err()

	var kinds []uint32
	var in, out, longest int
	for p := file.Bytes(); len(p) > 0; {
		kind, n := binary.LittleEndian.Uint32(p), int(binary.LittleEndian.Uint32(p[4:]))
		if n%4 != 0 || n > len(p) || int(binary.LittleEndian.Uint32(p[n-4:])) != n {
			t.Fatalf("a block of %d bytes, %d left", n, len(p))
		}
		kinds = append(kinds, kind)
		if kind == 6 {
			kept, whole := int(binary.LittleEndian.Uint32(p[20:])), int(binary.LittleEndian.Uint32(p[24:]))
			if kept > 60 || kept > whole || p[28]>>4 != 4 {
				t.Fatalf("%d of %d bytes kept, beginning with %#x", kept, whole, p[28])
			}
			longest = max(longest, whole)
			switch flags := binary.LittleEndian.Uint32(p[n-12:]); flags {
			case 1:
				in++
			case 2:
				out++
			default:
				t.Fatalf("direction %d", flags)
			}
		}
		p = p[n:]
	}
	if len(kinds) < 2 || kinds[0] != 0x0a0d0d0a || kinds[1] != 1 || in < 2 || out < 6 || longest != 1500 {
		t.Errorf("blocks %x, %d in, %d out, longest %d", kinds, in, out, longest)
	}
}

type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left--; b.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

// TestBrokenWriter goes on without the capture.
func TestBrokenWriter(t *testing.T) {
	da, db, err := pipe.New(pipe.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := capture.New(da, &broken{1}, capture.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := newStack(t, d, "10.0.0.1/24"), newStack(t, db, "10.0.0.2/24")
	if _, err := b.Listen("tcp", ":80"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Dial(t.Context(), "tcp", "10.0.0.2:80"); err != nil {
		t.Fatal(err)
	}
	if d.Err() == nil {
		t.Error("no error")
	}
}
