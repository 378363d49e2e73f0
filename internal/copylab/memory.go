package copylab

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/memcopy"
)

// memory is what copies read and write: mapped apart from Go's heap, every page
// touched, so that no fault and no collector is part of a figure.
type memory struct {
	src, dst []byte // page-aligned; dst begins half a page off src, modulo pages
	maps     [][]byte
	l2, l3   int // sizes of the caches
	ram      int // bytes of src that exceed every cache
}

// halfPage keeps destination and source apart in the low twelve bits of their
// addresses: loads that follow stores to the same low bits wait for them on many
// CPUs (4 KiB aliasing), which is a matter of luck, not of the method.
const halfPage = 2048

// maxLong is the longest copy of the sweep.
const maxLong = 64 << 20

func newMemory(caches []Cache, quick bool) (*memory, error) {
	m := &memory{l2: 1 << 20, l3: 32 << 20}
	for _, c := range caches {
		switch c.Level {
		case 2:
			m.l2 = int(c.Bytes)
		case 3:
			m.l3 = int(c.Bytes)
		}
	}
	// More than 256 MiB is not needed even where sysfs counts a whole socket's L3:
	// a virtual machine's share of it is smaller.
	m.ram = min(max(4*m.l3, 64<<20), 256<<20)
	long := maxLong
	if quick {
		long = 1 << 20
	}
	src, err := m.mapped(max(m.ram, long) + 8192)
	if err != nil {
		return nil, err
	}
	dst, err := m.mapped(long + 8192)
	if err != nil {
		m.close()
		return nil, err
	}
	m.src, m.dst = src, dst[halfPage:]
	for i := range m.src {
		m.src[i] = byte(i*7 + i>>8)
	}
	for i := 0; i < len(m.dst); i += 4096 {
		m.dst[i] = 1
	}
	return m, nil
}

func (m *memory) mapped(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("copylab: mapping %d MiB: %w; free memory, or measure with --quick", n>>20, err)
	}
	// Huge pages keep the TLB out of the figures where the system grants them.
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	m.maps = append(m.maps, b)
	return b, nil
}

func (m *memory) close() {
	for _, b := range m.maps {
		_ = unix.Munmap(b)
	}
}

// warm brings a region into the caches as far as it fits.
func warm(b []byte) { sink += uint64(memcopy.Sum(b)) }

// sink keeps results alive.
var sink uint64
