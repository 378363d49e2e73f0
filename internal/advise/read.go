package advise

import (
	"strconv"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// read completes the NICs with settings, and the strangers with where they may run.
func (e *Evidence) read() {
	for i := range e.NICs {
		n := &e.NICs[i]
		of := func(name string) string {
			if s := setting(e.Server, name, n.Name); s != nil {
				return s.Value
			}
			return ""
		}
		n.GRO = of("gro")
		n.MTU, _ = strconv.Atoi(of("mtu"))
		for _, name := range []string{"irq-affinity", "napi-cpus"} {
			if l, err := host.ParseCPUList(of(name)); err == nil && len(l) > 0 {
				n.WorkCPUs = l.String()
			}
		}
		var readers []int
		for _, f := range e.Flows {
			if f.NIC == i && f.ReaderCPU >= 0 {
				readers = append(readers, f.ReaderCPU)
			}
		}
		n.ReaderCPUs = host.CPUs(readers...).String()
	}
	for i := range e.Strangers {
		if l, err := sysx.Affinity(e.Strangers[i].PID); err == nil {
			e.Strangers[i].CPUs = host.CPUList(l).String()
		}
	}
}
