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
	overhead  = 256          // bytes that a packet, or a fragment, takes beside its payload
)

// key names a packet (RFC 8200, 4.5 leaves the protocol out; RFC 791 has it).
type key struct {
	src, dst wire.Addr
	id       uint32
	proto    uint8
}

// whole is a packet in the making.
type whole struct {
	key    key
	began  int64
	parts  []part // in order, apart from each other
	have   int    // bytes of parts
	total  int    // length of the payload; 0: not known
	head   []byte // headers of the first fragment
	memory int
	gone   bool
}

// part is a fragment's payload: no more is kept than what came, whatever place in the
// packet it claims.
type part struct {
	from int
	b    []byte
}

func (p *part) to() int { return p.from + len(p.b) }

// Table holds packets in the making. The zero Table is empty.
type Table struct {
	packets map[key]*whole
	order   []*whole // the oldest first; those that are gone are skipped
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
// that with a header that is no fragment's. b is copied. Where memory runs out, the
// oldest packet is given up.
func (t *Table) Add(now int64, h *wire.IP, b []byte) ([]byte, Result) {
	t.expire(now)
	w := t.find(now, h)
	if !w.put(h, b[h.HeaderLen:h.Length]) {
		t.drop(w)
		return nil, Failed
	}
	if h.FragOffset == 0 {
		w.head = header(h, b)
	}
	if w.total != 0 && w.head != nil && w.have == w.total {
		p := finish(w)
		t.drop(w)
		return p, Done
	}
	grown := h.Length - h.HeaderLen + overhead
	w.memory += grown
	t.memory += grown
	for t.memory > memoryMax {
		t.drop(t.order[0])
	}
	return nil, Waiting
}

// find returns the packet of a fragment, a new one if there is none.
func (t *Table) find(now int64, h *wire.IP) *whole {
	k := key{h.Src, h.Dst, h.ID, h.Proto}
	if h.Is6() {
		k.proto = 0
	}
	if w := t.packets[k]; w != nil {
		return w
	}
	if t.packets == nil {
		t.packets = map[key]*whole{}
	}
	w := &whole{key: k, began: now, memory: overhead}
	t.memory += w.memory
	t.packets[k] = w
	t.order = append(t.order, w)
	return w
}

// put copies a payload to its place. It returns false if it does not fit to the rest.
func (w *whole) put(h *wire.IP, payload []byte) bool {
	p := part{from: h.FragOffset, b: payload}
	n := len(w.parts)
	if !h.MoreFrags {
		if w.total != 0 && w.total != p.to() {
			return false
		}
		w.total = p.to()
	}
	if w.total != 0 && (p.to() > w.total || n > 0 && w.parts[n-1].to() > w.total) || n >= partsMax {
		return false
	}
	i, _ := slices.BinarySearchFunc(w.parts, p.from, func(a part, from int) int { return a.from - from })
	if i > 0 && w.parts[i-1].to() > p.from || i < n && w.parts[i].from < p.to() {
		return false
	}
	p.b = slices.Clone(payload)
	w.parts = slices.Insert(w.parts, i, p)
	w.have += len(payload)
	return true
}

// drop forgets a packet.
func (t *Table) drop(w *whole) {
	if !w.gone {
		w.gone = true
		t.memory -= w.memory
		delete(t.packets, w.key)
		w.parts, w.head = nil, nil
	}
	for len(t.order) > 0 && t.order[0].gone {
		t.order[0] = nil
		t.order = t.order[1:]
	}
	if len(t.order) > 2*len(t.packets)+orderSlack {
		t.order = slices.DeleteFunc(t.order, func(w *whole) bool { return w.gone })
	}
}

// orderSlack is how many packets that are gone may stay in order behind an old one.
const orderSlack = 64

// expire forgets packets that took too long.
func (t *Table) expire(now int64) {
	for len(t.order) > 0 && now-t.order[0].began > lifetime {
		t.drop(t.order[0])
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
func finish(w *whole) []byte {
	b := make([]byte, 0, len(w.head)+w.total)
	b = append(b, w.head...)
	for _, p := range w.parts {
		b = append(b, p.b...)
	}
	wire.SetUnfragmented(b)
	return b
}
