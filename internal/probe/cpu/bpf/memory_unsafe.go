package bpf

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// memory is the array of struct cpu as the programs write it, mapped read-only:
// reading costs no system call.
type memory struct {
	raw []byte
	n   int
}

const cpuSize = int(unsafe.Sizeof(cputimeCpu{}))

func mapCPUs(m *ebpf.Map, n int) (*memory, error) {
	if int(m.ValueSize()) != cpuSize || cpuSize%8 != 0 {
		return nil, fmt.Errorf("map cpus: values of %d bytes, want %d: regenerate", m.ValueSize(), cpuSize)
	}
	page := unix.Getpagesize()
	length := (n*cpuSize + page - 1) / page * page
	raw, err := unix.Mmap(m.FD(), 0, length, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the CPUs' state: %w", err)
	}
	return &memory{raw: raw, n: n}, nil
}

// copyCPU copies the words of one CPU's state, one atomic load each. The copy may
// be torn.
func (m *memory) copyCPU(cpu int, to *cputimeCpu) {
	src := unsafe.Pointer(&m.raw[cpu*cpuSize])
	dst := unsafe.Pointer(to)
	for off := 0; off < cpuSize; off += 8 {
		*(*uint64)(unsafe.Add(dst, off)) = atomic.LoadUint64((*uint64)(unsafe.Add(src, off)))
	}
}

func (m *memory) close() error { return unix.Munmap(m.raw) }
