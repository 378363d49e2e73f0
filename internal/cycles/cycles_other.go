//go:build !amd64

package cycles

import "time"

const hasChain = false

var epoch = time.Now()

// Start reads the clock in nanoseconds.
func Start() uint64 { return uint64(time.Since(epoch)) }

// Stop reads the clock in nanoseconds.
func Stop() uint64 { return uint64(time.Since(epoch)) }

// StopDrained is Stop: there is no portable fence.
func StopDrained() uint64 { return uint64(time.Since(epoch)) }

func chain(int) {}

// Flush reports that caches cannot be flushed from user space here.
func Flush([]byte) bool { return false }
