package cycles

const hasChain = true

// Start reads the counter before the work to be timed: earlier instructions have
// completed and later ones have not begun.
func Start() uint64

// Stop reads the counter after the work to be timed. Loads and computations have
// completed; stores may still be in the store buffer.
func Stop() uint64

// StopDrained is Stop after MFENCE: stores, non-temporal ones included, have become
// visible to other CPUs.
func StopDrained() uint64

// chain executes n dependent multiplications.
func chain(n int)

// Flush removes every cache line of the n bytes at p from all caches.
//
//go:noescape
func flush(p *byte, n uintptr)

// Flush writes back and removes the lines of b from the caches of all CPUs.
// It reports whether it could.
func Flush(b []byte) bool {
	const step = 256 << 10 // the collector waits for assembly: keep calls short
	for len(b) > 0 {
		n := min(len(b), step)
		flush(&b[0], uintptr(n))
		b = b[n:]
	}
	return true
}
