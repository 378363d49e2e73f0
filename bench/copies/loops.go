package main

import (
	"github.com/tailscale/wireguard-go/tun"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"

	"github.com/stackmeter/stackmeter/bench/copies/glibc"
	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

// sink takes every sum, so that none is left out.
var sink uint64

var (
	goCopy = loop{"Go copy", func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			copy(dst, src[o:][:n])
		}
		return cycles.Stop() - t
	}}
	glibcCopy = loop{"glibc memcpy", func(dst, src []byte, at []uint32, n int) uint64 { return glibc.Pool(dst, src, at, n) }}
	bestCopy  = loop{"memcopy.Copy", func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			memcopy.Copy(dst, src[o:][:n])
		}
		return cycles.Stop() - t
	}}
	fused = loop{"CopyAdd", func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			var p memcopy.Partial
			p.CopyAdd(dst, src[o:][:n])
			sink += uint64(p.Fold())
		}
		return cycles.Stop() - t
	}}
	fusedAhead = loop{"CopyAdd, prefetch", func(dst, src []byte, at []uint32, n int) uint64 {
		const ahead = 4
		t := cycles.Start()
		for i, o := range at {
			if i+ahead < len(at) {
				memcopy.Prefetch(src[at[i+ahead]:][:n])
			}
			var p memcopy.Partial
			p.CopyAdd(dst, src[o:][:n])
			sink += uint64(p.Fold())
		}
		return cycles.Stop() - t
	}}
	sumThenCopy = loop{"Sum, then Copy", func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			s := src[o:][:n]
			sink += uint64(memcopy.Sum(s))
			memcopy.Copy(dst, s)
		}
		return cycles.Stop() - t
	}}
	sumThenGo = loop{"Sum, then Go copy", func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			s := src[o:][:n]
			sink += uint64(memcopy.Sum(s))
			copy(dst, s)
		}
		return cycles.Stop() - t
	}}
	sum       = checksummer("memcopy.Sum", memcopy.Sum)
	gvisor    = checksummer("gVisor", func(b []byte) uint16 { return checksum.Checksum(b, 0) })
	wireguard = checksummer("wireguard-go AVX2", func(b []byte) uint16 { return tun.Checksum(b, 0) })
)

func checksummer(name string, f func([]byte) uint16) loop {
	return loop{name, func(_, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			sink += uint64(f(src[o:][:n]))
		}
		return cycles.Stop() - t
	}}
}

// fusedRoutine is a fused routine of memcopy's table as a loop.
func fusedRoutine(name string) loop {
	r, ok := memcopy.Lookup(name)
	if !ok || r.CopySum == nil {
		return loop{name, func([]byte, []byte, []uint32, int) uint64 { return 0 }}
	}
	return loop{name, func(dst, src []byte, at []uint32, n int) uint64 {
		t := cycles.Start()
		for _, o := range at {
			_, p := r.CopySum(dst, src[o:][:n])
			sink += uint64(p.Fold())
		}
		return cycles.Stop() - t
	}}
}
