// Package reassembly puts fragments of IPv4 and IPv6 packets together (RFC 791, 3.2;
// RFC 8200, 4.5), with memory and time bounded. Fragments that overlap make the whole
// packet worthless (RFC 5722), for both versions.
package reassembly

import (
	"slices"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Bounds of a Table.
const (
	memoryMax = 1 << 20      // bytes of packets in the making
	lifetime  = 30_000000000 // nanoseconds (RFC 791 suggests 15 s, Linux has 30 s)
	partsMax  = 128          // fragments of one packet
	sizeStep  = 2048         // bytes that a packet's memory grows by at least
)

// key names a packet (RFC 8200, 4.5 leaves the protocol out; RFC 791 has it).
type key struct {
	src, dst wire.Addr
	id       uint32
	proto    uint8
}

// whole is a packet in the making.
type whole struct {
	began int64
	data  []byte // payload; len is as far as is known
	have  []span // in order, apart from each other
	total int    // length of the payload; 0: not known
	head  []byte // headers of the first fragment
}

// span is a range of bytes.
type span struct{ from, to int }

// Table holds packets in the making. The zero Table is empty.
type Table struct {
	packets map[key]*whole
	memory  int
}

// Result is what became of a fragment.
type Result uint8

// Results.
const (
	Waiting Result = iota // more fragments are to come
	Done                  // the packet is complete
	Failed                // the packet is given up
)

// Add takes in the fragment b with header h. If it completes its packet, it returns
// that with a header that is no fragment's. b is copied.
func (t *Table) Add(now int64, h *wire.IP, b []byte) ([]byte, Result) {
	t.expire(now)
	k := key{h.Src, h.Dst, h.ID, h.Proto}
	if h.Is6() {
		k.proto = 0
	}
	w := t.packets[k]
	if w == nil {
		if t.packets == nil {
			t.packets = map[key]*whole{}
		}
		w = &whole{began: now}
		t.packets[k] = w
	}
	if !t.put(w, h, b[h.HeaderLen:h.Length]) {
		t.drop(k, w)
		return nil, Failed
	}
	if h.FragOffset == 0 {
		w.head = header(h, b)
		t.memory += len(w.head)
	}
	if w.total == 0 || w.head == nil || len(w.have) != 1 || w.have[0] != (span{0, w.total}) {
		if t.memory > memoryMax {
			t.drop(k, w)
			return nil, Failed
		}
		return nil, Waiting
	}
	t.drop(k, w)
	return finish(h, w), Done
}

// put copies a payload to its place. It returns false if it does not fit to the rest.
func (t *Table) put(w *whole, h *wire.IP, payload []byte) bool {
	s := span{h.FragOffset, h.FragOffset + len(payload)}
	if !h.MoreFrags {
		if w.total != 0 && w.total != s.to {
			return false
		}
		w.total = s.to
	}
	if w.total != 0 && (s.to > w.total || len(w.have) > 0 && w.have[len(w.have)-1].to > w.total) {
		return false
	}
	if len(w.have) >= partsMax {
		return false
	}
	i, _ := slices.BinarySearchFunc(w.have, s.from, func(a span, from int) int { return a.from - from })
	if i > 0 && w.have[i-1].to > s.from || i < len(w.have) && w.have[i].from < s.to {
		return false
	}
	if s.to > len(w.data) {
		t.memory -= cap(w.data)
		w.data = slices.Grow(w.data, max(s.to-len(w.data), sizeStep))[:s.to]
		t.memory += cap(w.data)
	}
	copy(w.data[s.from:], payload)
	w.have = slices.Insert(w.have, i, s)
	if i+1 < len(w.have) && w.have[i].to == w.have[i+1].from {
		w.have[i].to = w.have[i+1].to
		w.have = slices.Delete(w.have, i+1, i+2)
	}
	if i > 0 && w.have[i-1].to == w.have[i].from {
		w.have[i-1].to = w.have[i].to
		w.have = slices.Delete(w.have, i, i+1)
	}
	return true
}

func (t *Table) drop(k key, w *whole) {
	t.memory -= cap(w.data) + len(w.head)
	delete(t.packets, k)
}

// expire forgets packets that took too long. With few in the making it may look at
// all of them.
func (t *Table) expire(now int64) {
	for k, w := range t.packets {
		if now-w.began > lifetime {
			t.drop(k, w)
		}
	}
}

// header returns the headers before a first fragment's payload as the whole has them.
func header(h *wire.IP, b []byte) []byte {
	head := slices.Clone(b[:h.UnfragmentLen])
	if h.Is6() {
		head[h.NextAt] = h.Proto
	}
	return head
}

// finish puts headers and payload together.
func finish(h *wire.IP, w *whole) []byte {
	p := append(w.head, w.data[:w.total]...)
	wire.SetUnfragmented(p)
	return p
}
