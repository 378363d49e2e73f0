// Package capture wraps a device to write what passes it to a pcapng file, which
// Wireshark and tcpdump read: frames as the stack has them, before the device cuts or
// sums what was offloaded to it, each with its direction.
package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

// Config says what is captured.
type Config struct {
	// Snap is how many bytes of each frame are written; 0: all.
	Snap int
}

// New wraps a device. It goes with the wrapper; w does not, and must not be used before
// the stack is closed. Calls of w block the stack. When w fails, capturing ends, and
// Err returns why.
func New(d ustack.Device, w io.Writer, cfg Config) (*Device, error) {
	c := &Device{Device: d, cfg: cfg, w: w}
	if _, err := w.Write(header(d.Info(), cfg)); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return c, nil
}

// Device is a device that is captured.
type Device struct {
	ustack.Device
	cfg Config

	mu  sync.Mutex
	w   io.Writer
	buf []byte
	err error
}

// Err returns why capturing ended, or nil.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// Open implements ustack.Device.
func (d *Device) Open(i int, pool *frame.Pool) (ustack.Queue, error) {
	q, err := d.Device.Open(i, pool)
	if err != nil {
		return nil, err
	}
	return &queue{q, d}, nil
}

type queue struct {
	ustack.Queue
	d *Device
}

// Receive implements ustack.Queue.
func (q *queue) Receive(into []*frame.Frame) (int, error) {
	n, err := q.Queue.Receive(into)
	if n > 0 {
		q.d.write(into[:n], inbound)
	}
	return n, err
}

// Send implements ustack.Queue.
func (q *queue) Send(frames []*frame.Frame) (int, error) {
	q.d.write(frames, outbound)
	return q.Queue.Send(frames)
}

// The format: draft-ietf-opsawg-pcapng.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6
	byteOrder      = 0x1a2b3c4d

	linkEthernet = 1
	linkRaw      = 101

	optionName       = 2
	optionResolution = 9
	optionFlags      = 2

	inbound  = 1
	outbound = 2
)

var le = binary.LittleEndian

// block appends a block of a type with a body to b.
func block(b []byte, kind uint32, body []byte) []byte {
	n := uint32(12 + len(body))
	b = le.AppendUint32(b, kind)
	b = le.AppendUint32(b, n)
	b = append(b, body...)
	return le.AppendUint32(b, n)
}

// option appends an option to b.
func option(b []byte, code uint16, v []byte) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(v)))
	return pad(append(b, v...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// header is the section's and the interface's block.
func header(info ustack.DeviceInfo, cfg Config) []byte {
	var body []byte
	body = le.AppendUint32(body, byteOrder)
	body = le.AppendUint16(body, 1)          // version 1.0
	body = le.AppendUint16(body, 0)          //
	body = le.AppendUint64(body, ^uint64(0)) // length unknown
	b := block(nil, blockSection, body)
	link := uint16(linkRaw)
	if info.Link == ustack.LinkEthernet {
		link = linkEthernet
	}
	body = le.AppendUint16(body[:0], link)
	body = le.AppendUint16(body, 0)
	body = le.AppendUint32(body, uint32(cfg.Snap))
	body = option(body, optionName, []byte(info.Name))
	body = option(body, optionResolution, []byte{9}) // nanoseconds
	body = le.AppendUint32(body, 0)
	return block(b, blockInterface, body)
}

// write writes a block for each frame.
func (d *Device) write(frames []*frame.Frame, direction uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return
	}
	now := uint64(time.Now().UnixNano())
	b := d.buf[:0]
	for _, f := range frames {
		p := f.Bytes()
		whole := len(p)
		if d.cfg.Snap > 0 {
			p = p[:min(len(p), d.cfg.Snap)]
		}
		at := len(b)
		b = le.AppendUint32(b, blockPacket)
		b = append(b, 0, 0, 0, 0)
		b = le.AppendUint32(b, 0) // interface
		b = le.AppendUint32(b, uint32(now>>32))
		b = le.AppendUint32(b, uint32(now))
		b = le.AppendUint32(b, uint32(len(p)))
		b = le.AppendUint32(b, uint32(whole))
		b = pad(append(b, p...))
		b = option(b, optionFlags, le.AppendUint32(nil, direction))
		b = le.AppendUint32(b, 0)
		n := uint32(len(b) - at + 4)
		b = le.AppendUint32(b, n)
		le.PutUint32(b[at+4:], n)
	}
	d.buf = b
	if _, err := d.w.Write(b); err != nil {
		d.err = fmt.Errorf("capture: %w", err)
	}
}
