package main

import (
	"fmt"

	"github.com/stackmeter/stackmeter/bench/copies/glibc"
)

// fused compares the fused copy-and-checksum with what it replaces.
func (m *memory) fused() {
	loops := []loop{goCopy, fused, sumThenCopy, fusedRoutine("fused-adc"), fusedAhead, sumThenGo}
	fmt.Printf("\nFused copy and checksum, %d bytes, source at +%d: core cycles\n", packet, offset)
	limits := map[string]float64{"hot": 1.20, "l3": 1.05, "dram": 0.9, "pool": 0.9}
	for _, state := range []string{"hot", "l3", "dram", "pool"} {
		limit := limits[state]
		v := m.medians(loops, state, packet, offset, 0, 301)
		for i, l := range loops {
			fmt.Printf("  %-5s %-16s %7.1f\n", state, l.name, v[i])
		}
		target("fused over Go's copy, "+state, v[1]/v[0], limit, true)
		if state != "hot" {
			target("fused with packets prefetched 4 ahead over Go's copy, "+state, v[4]/v[0], limit, true)
		}
		if state == "hot" {
			target("checksum then copy over fused, hot", v[2]/v[1], 1.6, false)
			target("checksum then Go's copy over fused, hot", v[5]/v[1], 1.6, false)
			target("Linux's add-with-carry fusion over fused, hot", v[3]/v[1], 3, false)
		}
	}
}

// checksums compares with the checksums of other stacks in Go.
func (m *memory) checksums() {
	loops := []loop{sum, gvisor, wireguard}
	v := m.medians(loops, "hot", packet, offset, 0, 301)
	fmt.Printf("\nChecksum, %d bytes hot, source at +%d: core cycles\n", packet, offset)
	for i, l := range loops {
		fmt.Printf("  %-18s %7.1f\n", l.name, v[i])
	}
	target("gVisor's over this one", v[1]/v[0], 3, false)
	target("wireguard-go's AVX2 over this one", v[2]/v[0], 1.5, false)
}

// copies compares the package's copy with Go's and the C library's over sizes, offsets
// and states.
func (m *memory) copies(print bool) {
	floor := m.medians([]loop{callFloor, cFloor}, "hot", 64, 0, 0, 301)
	loops := []loop{goCopy, glibcCopy, bestCopy, glibcCalled}
	fmt.Printf("\nCopy against the better of Go's and glibc %s's\n", glibc.Version())
	fmt.Printf("  an empty call takes %.1f cycles from Go to assembly, %.1f from C to C\n", floor[0], floor[1])
	type cell struct {
		state       string
		n, src, dst int
	}
	var cells []cell
	for _, n := range []int{64, 128, 256, 512, 1024, packet, 2048, 4096, 8192, 16384, 32768, 65536, 262144, 1 << 20, 4 << 20, 16 << 20, 64 << 20} {
		for _, o := range [][2]int{{0, 0}, {2, 0}, {4, 0}, {8, 0}, {33, 0}, {0, 7}, {2, 7}} {
			cells = append(cells, cell{"hot", n, o[0], o[1]})
		}
	}
	for _, state := range []string{"l3", "dram", "pool"} {
		for _, n := range []int{64, 256, packet, 4096, 16384} {
			cells = append(cells, cell{state, n, 0, 0}, cell{state, n, 2, 0})
		}
	}
	within, withinNet, withinCalled, withinGo, unaligned := 0, 0, 0, 0, 0.0
	for _, c := range cells {
		rounds := 61
		if c.n >= 1<<20 {
			rounds = 7
		}
		v := m.medians(loops, c.state, c.n, c.src, c.dst, rounds)
		ratio := v[2] / min(v[0], v[1])
		if ratio <= 1.05 {
			within++
		}
		if v[2] <= 1.05*v[0] {
			withinGo++
		}
		if v[2] <= 1.05*min(v[0], v[3]) {
			withinCalled++
		}
		net := max(v[2]-floor[0], 0) / max(min(v[0]-floor[0], v[1]-floor[1]), 1)
		if net <= 1.05 {
			withinNet++
		}
		if print || ratio > 1.05 {
			fmt.Printf("  %-5s %9d bytes +%d to +%d: Go %.1f, glibc %.1f (from Go %.1f), memcopy %.1f: %.2f, called alike %.2f, net of calls %.2f\n", c.state, c.n, c.src, c.dst, v[0], v[1], v[3], v[2], ratio, v[2]/min(v[0], v[3]), net)
		}
		if c.state == "hot" && c.n >= 4096 && c.n <= 16384 && c.src%8 != 0 && (unaligned == 0 || v[0]/v[2] < unaligned) {
			unaligned = v[0] / v[2]
		}
	}
	fmt.Printf("  of %d cells within 5 %% of the better: %d as timed (those beyond are listed), %d with glibc called from Go as memcopy's assembly is,\n  %d net of empty calls; within 5 %% of Go's alone: %d\n", len(cells), within, withinCalled, withinNet, withinGo)
	fmt.Println("  (as timed, glibc is called from a loop in C, memcopy from one in Go)")
	target("Go's copy over this one, 4 to 16 KiB, source not 8-aligned: the least", unaligned, 3, false)
}

// pages compares copies of packets where the page offsets of source and destination
// differ: loads wait for earlier stores to the same low twelve bits of an address, so
// that one placement tells little.
func (m *memory) pages() {
	loops := []loop{goCopy, glibcCopy, bestCopy, glibcCalled}
	fmt.Println("\nHot copies, source at +66, mean over 16 places of the destination in its page")
	for _, n := range []int{160, 256, 384, 512, 1024, packet, 2048, 4096, 8192} {
		var mean, worst [4]float64
		for place := range 16 {
			for i, v := range m.medians(loops, "hot", n, offset, 256*place, 31) {
				mean[i] += v / 16
				worst[i] = max(worst[i], v)
			}
		}
		fmt.Printf("  %5d bytes: Go %.1f, glibc %.1f (from Go %.1f), memcopy %.1f: %.2f, called alike %.2f; the worst place %.1f, %.1f (%.1f), %.1f\n",
			n, mean[0], mean[1], mean[3], mean[2], mean[2]/min(mean[0], mean[1]), mean[2]/min(mean[0], mean[3]), worst[0], worst[1], worst[3], worst[2])
	}
}
