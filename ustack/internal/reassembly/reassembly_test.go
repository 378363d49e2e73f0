package reassembly

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

func fragment(id uint32, from int, more bool, payload []byte) (wire.IP, []byte) {
	h := wire.IP{
		Src: wire.AddrOf(netip.MustParseAddr("10.0.0.1")), Dst: wire.AddrOf(netip.MustParseAddr("10.0.0.2")),
		Proto: wire.ProtoUDP, TTL: 64, ID: id, FragOffset: from, MoreFrags: more, HeaderLen: 20, Length: 20 + len(payload),
	}
	b := make([]byte, h.Length)
	h.Put(b)
	copy(b[20:], payload)
	var parsed wire.IP
	if f := wire.ParseIP(&parsed, b); f != wire.OK {
		panic(f)
	}
	return parsed, b
}

func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func TestFragmentsInAnyOrder(t *testing.T) {
	want := payload(9000)
	for seed := range uint64(50) {
		var table Table
		parts := rand.New(rand.NewPCG(seed, 0)).Perm(9)
		for n, i := range parts {
			h, b := fragment(7, i*1000, i < 8, want[i*1000:(i+1)*1000])
			got, r := table.Add(1, &h, b)
			if n < 8 {
				if r != Waiting {
					t.Fatalf("seed %d: fragment %d: %v", seed, n, r)
				}
				continue
			}
			var whole wire.IP
			if r != Done || wire.ParseIP(&whole, got) != wire.OK || whole.IsFragment() || !bytes.Equal(got[20:], want) {
				t.Fatalf("seed %d: %v %+v", seed, r, whole)
			}
		}
		if table.memory != 0 || len(table.packets) != 0 {
			t.Fatalf("%d bytes, %d packets left", table.memory, len(table.packets))
		}
	}
}

func TestOverlapsAreWorthless(t *testing.T) {
	for _, second := range []struct {
		from, n int
		more    bool
	}{{992, 1000, true}, {0, 1000, true}, {8, 16, true}, {0, 500, false}} {
		var table Table
		h, b := fragment(1, 0, true, payload(1000))
		table.Add(1, &h, b)
		h, b = fragment(1, second.from, second.more, payload(second.n))
		if _, r := table.Add(1, &h, b); r != Failed || table.memory != 0 {
			t.Errorf("%+v: %v, %d bytes left", second, r, table.memory)
		}
	}
}

func TestMemoryAndTimeAreBounded(t *testing.T) {
	var table Table
	most := 0
	for i := range 5000 {
		h, b := fragment(uint32(i)&0xffff, 8, true, payload(1400))
		table.Add(int64(i), &h, b)
		most = max(most, table.memory)
	}
	if most > memoryMax || most < memoryMax/2 {
		t.Errorf("%d bytes held", most)
	}
	h, b := fragment(9, 8, true, payload(8))
	table.Add(2*lifetime, &h, b)
	if len(table.packets) != 1 {
		t.Errorf("%d packets after the others' time", len(table.packets))
	}
}

// TestOldPacketsGiveWay holds that an attacker who fills the memory does not keep others
// out, and that a fragment costs no more than its bytes, wherever it claims to lie.
func TestOldPacketsGiveWay(t *testing.T) {
	var table Table
	for i := range 5000 {
		h, b := fragment(uint32(i), 64000, true, payload(8))
		table.Add(1, &h, b)
	}
	if n := len(table.packets); n < memoryMax/(2*overhead+8)-1 || len(table.order) != n {
		t.Errorf("%d packets are held, %d in order: each costs more than it has", n, len(table.order))
	}
	h, b := fragment(0xffff, 0, true, payload(1000))
	table.Add(2, &h, b)
	h, b = fragment(0xffff, 1000, false, payload(1000))
	if got, r := table.Add(2, &h, b); r != Done || len(got) != 2020 {
		t.Errorf("an honest packet is not taken: %v, %d bytes", r, len(got))
	}
	sum := 0
	for _, w := range table.packets {
		sum += w.memory
	}
	if sum != table.memory {
		t.Errorf("%d bytes are held, %d were counted", sum, table.memory)
	}
}

// TestOrderIsBounded completes packets while an old one waits.
func TestOrderIsBounded(t *testing.T) {
	var table Table
	h, b := fragment(0, 8, true, payload(8))
	table.Add(1, &h, b)
	for i := range 1000 {
		h, b := fragment(uint32(1+i), 8, false, payload(8))
		table.Add(1, &h, b)
		h, b = fragment(uint32(1+i), 0, true, payload(8))
		if _, r := table.Add(1, &h, b); r != Done {
			t.Fatal(r)
		}
	}
	if n := len(table.order); n > orderSlack+2 {
		t.Errorf("%d packets in order, of which one waits", n)
	}
}
