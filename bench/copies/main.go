// Command copies holds memcopy against what others use: the C library's memcpy,
// gVisor's checksum and the AVX2 checksum of Tailscale's wireguard-go. It prints each
// figure beside its target. All methods of a comparison run in one process,
// interleaved batch by batch; figures are medians in core cycles a call.
//
//	go run ./copies
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"

	"github.com/stackmeter/stackmeter/internal/cycles"
	"github.com/stackmeter/stackmeter/memcopy"
)

func main() {
	cells := flag.Bool("cells", false, "print every cell of the comparison of copies")
	cpu := flag.Int("cpu", 0, "the CPU to measure on")
	flag.Parse()
	runtime.LockOSThread()
	if err := pin(*cpu); err != nil {
		fmt.Fprintln(os.Stderr, "copies:", err)
		os.Exit(1)
	}
	mem, err := newMemory()
	if err != nil {
		fmt.Fprintln(os.Stderr, "copies:", err)
		os.Exit(1)
	}
	vendor, has := memcopy.CPU()
	fmt.Printf("%s: %s; core/counter %.3f\n", vendor, has, cycles.CoreRatio())
	mem.fused()
	mem.checksums()
	mem.copies(*cells)
	mem.pages()
	runtime.KeepAlive(&sink)
}

// target prints a figure beside its target. atMost says on which side it should be.
func target(what string, got, want float64, atMost bool) {
	verdict, sign := "reached", ">="
	if atMost {
		sign = "<="
	}
	if atMost && got > want || !atMost && got < want {
		verdict = "NOT REACHED"
	}
	fmt.Printf("  %-72s %6.2f  (%s %.2f)  %s\n", what, got, sign, want, verdict)
}
