// Package sample takes stacks of what the CPUs run, at a steady rate, by the
// kernel's own clock event (PERF_COUNT_SW_CPU_CLOCK) on every CPU: kernel and user
// stacks, no hardware counter needed. It reads the kernel's rings itself.
//
// Where the clock's interrupt is not an NMI, as in most virtual machines, a sample that
// falls into a section with interrupts off lands on the instruction that turns them
// on again: package stage tells such samples (skid). The idle task is hardly ever
// sampled, nor can it be trusted when it is: take idle time from package cpu.
//
// Nothing outlives the process: the events are file descriptors.
package sample

import (
	"encoding/binary"
	"fmt"
)

// Sample is one stack. Addresses run from leaf to root.
type Sample struct {
	CPU, PID, TID int
	Time          uint64 // CLOCK_MONOTONIC, nanoseconds
	InUser        bool   // the CPU was in user mode: Kernel is empty
	Kernel, User  []uint64
}

// Of include/uapi/linux/perf_event.h.
const (
	recordLost        = 2
	recordThrottle    = 5
	recordSample      = 9
	recordLostSamples = 13
	miscModeMask      = 7
	miscUser          = 2
	contextKernel     = ^uint64(128) + 1
	contextUser       = ^uint64(512) + 1
	contextMax        = ^uint64(4095) + 1
)

// Records is what a ring held.
type Records struct {
	Samples   []Sample
	Lost      uint64 // samples that found the ring full
	Throttled uint64 // times the kernel turned the event off for a tick, as it took too long
}

// Parse reads records of a ring: samples with TID, TIME, CPU and CALLCHAIN, as
// [Open] asks for, and those about losses. Others are skipped.
func Parse(b []byte, out *Records) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return fmt.Errorf("perf record: %d bytes are no header", len(b))
		}
		kind, misc := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:])
		size := int(binary.NativeEndian.Uint16(b[6:]))
		if size < 8 || size > len(b) {
			return fmt.Errorf("perf record: size %d of %d bytes left", size, len(b))
		}
		body := b[8:size]
		b = b[size:]
		switch kind {
		case recordSample:
			s, err := parseSample(body)
			if err != nil {
				return err
			}
			s.InUser = misc&miscModeMask == miscUser
			out.Samples = append(out.Samples, s)
		case recordLost: // id, lost
			if len(body) >= 16 {
				out.Lost += binary.NativeEndian.Uint64(body[8:])
			}
		case recordLostSamples:
			if len(body) >= 8 {
				out.Lost += binary.NativeEndian.Uint64(body)
			}
		case recordThrottle:
			out.Throttled++
		}
	}
	return nil
}

// sampleHead is pid, tid, time, cpu, reserved, number of addresses.
const sampleHead = 4 + 4 + 8 + 4 + 4 + 8

func parseSample(b []byte) (Sample, error) {
	if len(b) < sampleHead {
		return Sample{}, fmt.Errorf("perf sample: %d bytes, want at least %d", len(b), sampleHead)
	}
	s := Sample{
		PID:  int(int32(binary.NativeEndian.Uint32(b))),
		TID:  int(int32(binary.NativeEndian.Uint32(b[4:]))),
		Time: binary.NativeEndian.Uint64(b[8:]),
		CPU:  int(binary.NativeEndian.Uint32(b[16:])),
	}
	n := binary.NativeEndian.Uint64(b[24:])
	b = b[sampleHead:]
	if n > uint64(len(b)/8) {
		return Sample{}, fmt.Errorf("perf sample: a stack of %d addresses in %d bytes", n, len(b))
	}
	to := &s.Kernel
	for i := range int(n) {
		addr := binary.NativeEndian.Uint64(b[8*i:])
		switch {
		case addr == contextKernel:
			to = &s.Kernel
		case addr == contextUser:
			to = &s.User
		case addr >= contextMax: // another context: a hypervisor's guest
			to = nil
		case to != nil:
			*to = append(*to, addr)
		}
	}
	return s, nil
}
