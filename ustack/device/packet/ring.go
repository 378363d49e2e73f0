package packet

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/vnet"
	"github.com/stackmeter/stackmeter/ustack/frame"
)

const (
	blockLen = 64 << 10
	// retire is how many milliseconds a block may stay open: the least there is.
	retire = 1
	// slotHead is more than what lies before the packet in a slot: the header, an
	// address, and vnet.Len, aligned (tpacket_rcv of net/packet/af_packet.c).
	slotHead = 128
)

// ring is a queue that receives from memory shared with the kernel.
type ring struct {
	*queue
	memory []byte
}

// mapRing makes the ring of a socket.
func mapRing(q *queue, cfg Config, packetLen int) (ustack.Queue, error) {
	r := &ring{queue: q}
	var err error
	size := 0
	if cfg.Ring == Slots {
		slot := nextPower(max(packetLen+slotHead, 2048))
		block := max(slot, blockLen)
		n := max(cfg.BufferBytes/block, 2)
		size = n * block
		err = unix.SetsockoptTpacketReq(q.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq{
			Block_size: uint32(block), Block_nr: uint32(n), Frame_size: uint32(slot), Frame_nr: uint32(n * block / slot),
		})
	} else {
		block := nextPower(max(packetLen+2*slotHead, blockLen))
		n := max(cfg.BufferBytes/block, 2)
		size = n * block
		err = unix.SetsockoptTpacketReq3(q.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &unix.TpacketReq3{
			Block_size: uint32(block), Block_nr: uint32(n), Frame_size: uint32(block), Frame_nr: uint32(n), Retire_blk_tov: retire,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("make a ring of %d bytes: %w", size, err)
	}
	r.memory, err = unix.Mmap(q.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map a ring of %d bytes: %w", size, err)
	}
	if cfg.Ring == Slots {
		return &slots{ring: r, slot: nextPower(max(packetLen+slotHead, 2048))}, nil
	}
	return &blocks{ring: r, block: nextPower(max(packetLen+2*slotHead, blockLen))}, nil
}

func nextPower(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// Close implements ustack.Queue.
func (r *ring) Close() error {
	var err error
	if r.memory != nil {
		err = unix.Munmap(r.memory)
		r.memory = nil
	}
	return errors.Join(err, r.queue.Close())
}

// fill copies a packet of the ring, which begins at mac, to f and tells whether it is
// of use.
func (r *ring) fill(f *frame.Frame, at []byte, mac, length, status int) bool {
	if mac < vnet.Len || mac+length > len(at) || length > len(f.Tail()) {
		return false
	}
	copy(f.Extend(length), at[mac:])
	if r.offload {
		o, ok := vnet.Get(at[mac-vnet.Len:])
		f.Offload = o
		return ok
	}
	switch {
	case status&unix.TP_STATUS_CSUMNOTREADY != 0:
		f.Offload.Checksum = frame.ChecksumPartial
	case status&unix.TP_STATUS_CSUM_VALID != 0:
		f.Offload.Checksum = frame.ChecksumVerified
	}
	return true
}

// slots is a ring of TPACKET_V2.
type slots struct {
	*ring
	slot int // bytes
	next int // where the next packet will be
}

// Receive implements ustack.Queue.
func (r *slots) Receive(into []*frame.Frame) (n int, err error) {
	for n < len(into) {
		at := r.memory[r.next : r.next+r.slot]
		status := word(at, 0)
		if atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
			return n, nil
		}
		r.down = false
		f := r.pool.One()
		if f == nil {
			return n, nil // what was received must be read first
		}
		h := header2(at)
		if h.Snaplen == h.Len && r.fill(f, at, int(h.Mac), int(h.Snaplen), int(h.Status)) {
			into[n] = f
			n++
		} else {
			r.pool.Put(f)
		}
		atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
		if r.next += r.slot; r.next == len(r.memory) {
			r.next = 0
		}
	}
	return n, nil
}

// blocks is a ring of TPACKET_V3.
type blocks struct {
	*ring
	block  int // bytes
	next   int // where the next block, or the one that is open, begins
	left   int // packets of the open block
	offset int // of the next one of them
}

// Receive implements ustack.Queue.
func (r *blocks) Receive(into []*frame.Frame) (n int, err error) {
	for n < len(into) {
		block := r.memory[r.next : r.next+r.block]
		d := blockHeader(block)
		if r.left == 0 {
			if atomic.LoadUint32(&d.Block_status)&unix.TP_STATUS_USER == 0 {
				return n, nil
			}
			r.down = false
			r.left, r.offset = int(d.Num_pkts), int(d.Offset_to_first_pkt)
		}
		for ; r.left > 0 && n < len(into); r.left-- {
			f := r.pool.One()
			if f == nil {
				return n, nil // what was received must be read first
			}
			at := block[r.offset:]
			h := header3(at)
			if h.Snaplen == h.Len && r.fill(f, at, int(h.Mac), int(h.Snaplen), int(h.Status)) {
				into[n] = f
				n++
			} else {
				r.pool.Put(f)
			}
			r.offset += int(h.Next_offset)
		}
		if r.left > 0 {
			return n, nil
		}
		atomic.StoreUint32(&d.Block_status, unix.TP_STATUS_KERNEL)
		if r.next += r.block; r.next == len(r.memory) {
			r.next = 0
		}
	}
	return n, nil
}
