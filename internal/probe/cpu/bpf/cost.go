package bpf

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Cost is what the programs themselves used, by the kernel's own count
// (kernel.bpf_stats_enabled). The time lies within the classes of the CPUs: it is
// charged to what the event came over.
type Cost struct {
	Runs        uint64
	Nanoseconds int64
}

// CountCost turns the kernel's counting of the programs' run time on until the
// closer is closed, or the process ends. Counting adds some 20 ns to every
// program on the machine.
func (t *Tracer) CountCost() (io.Closer, error) {
	c, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("count the run time of BPF programs: %w; needs Linux 5.8 and root", err)
	}
	return c, nil
}

// Cost by program since loading, as far as counting was on.
func (t *Tracer) Cost() (map[string]Cost, error) {
	out := map[string]Cost{}
	for name, p := range t.progs {
		s, err := p.Stats()
		if err != nil {
			return nil, fmt.Errorf("run time of %s: %w", name, err)
		}
		out[name] = Cost{Runs: s.RunCount, Nanoseconds: s.Runtime.Nanoseconds()}
	}
	return out, nil
}
