package reassembly

import (
	"bytes"
	"testing"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// FuzzFragments takes fragments of four packets from the fuzzer's bytes. What is put
// together must be bytes that were sent, in their places; memory is bounded and counted.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{0, 0, 10, 1, 0, 10, 10, 0})
	f.Add([]byte{1, 0, 3, 1, 1, 2, 3, 1, 2, 9, 200, 0})
	want := payload(256 * 8)
	f.Fuzz(func(t *testing.T, b []byte) {
		var table Table
		for now := int64(1); len(b) >= 4; now++ {
			from, n := int(b[1])*8, int(b[2])*8
			from = min(from, len(want)-8)
			n = max(min(n, len(want)-from), 8)
			h, p := fragment(uint32(b[0]%4), from, b[3]&1 != 0, want[from:from+n])
			whole, r := table.Add(now, &h, p)
			var ip wire.IP
			if r == Done && (wire.ParseIP(&ip, whole) != wire.OK || ip.IsFragment() || !bytes.Equal(whole[ip.HeaderLen:], want[:len(whole)-ip.HeaderLen])) {
				t.Fatalf("%d bytes that were never sent: %+v", len(whole), ip)
			}
			sum := 0
			for _, w := range table.packets {
				sum += w.memory
			}
			if sum != table.memory || sum > memoryMax {
				t.Fatalf("%d bytes are held, %d were counted", sum, table.memory)
			}
			b = b[4:]
		}
	})
}
