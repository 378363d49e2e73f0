package wire

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// Of include/uapi/linux/futex.h; without FUTEX_PRIVATE_FLAG, as the words are shared by processes.
const (
	futexWait = 0
	futexWake = 1
)

// sleepWhile blocks the thread while the word has a value; it may return early.
func sleepWhile(word *atomic.Uint32, value uint32) {
	_, _ = sysx.Raw(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(value), 0, 0, 0)
}

// ring wakes the thread that waits for the bell, which then serves a NIC.
func (b *bell) ring(nic int) {
	b.pending.Or(1 << nic)
	if b.asleep.Swap(0) == 1 {
		_, _ = sysx.Raw(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.asleep)), futexWake, 1, 0, 0, 0)
	}
}

// wait returns the NICs that interrupt, by bit.
func (b *bell) wait() uint64 {
	for {
		if p := b.pending.Swap(0); p != 0 {
			return p
		}
		b.asleep.Store(1)
		if b.pending.Load() != 0 {
			b.asleep.Store(0)
			continue
		}
		sleepWhile(&b.asleep, 1)
	}
}
