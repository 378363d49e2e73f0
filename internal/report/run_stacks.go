package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/meter"
)

// runStacks tells what user-space stacks were in force.
func (p *printer) runStacks(r *meter.Result) {
	head := false
	for _, h := range r.Hosts {
		for _, s := range h.Stacks {
			if !head {
				p.runSection("User-space stacks", "as they were in force")
				head = true
			}
			offload := "frames as on a wire"
			if s.Offload {
				offload = "segments up to 64 KiB cross the device"
			}
			device := s.Device
			if s.Mode != "" {
				device += " (" + s.Mode + ")"
			}
			p.wrap(fmt.Sprintf("  %s: %v on %s %s, MTU %d, %s, %s", h.Name, s.Address.Addr(), device, s.Interface, s.MTU, count(s.Queues, "queue"), offload), 4, plain)
			var techniques []string
			for _, name := range slices.Sorted(maps.Keys(s.Techniques)) {
				techniques = append(techniques, name+"="+s.Techniques[name])
			}
			p.wrap("    techniques: "+strings.Join(techniques, ", "), 6, plain)
			var lost []string
			for _, name := range slices.Sorted(maps.Keys(s.Counters)) {
				if isDrop(name) && name != "IpInAddrErrors" || strings.Contains(name, "Drop-") || strings.HasSuffix(name, "NoFrame") {
					lost = append(lost, fmt.Sprintf("%s %d", name, s.Counters[name]))
				}
			}
			if len(lost) > 0 {
				p.wrap("    dropped or done again, in its life: "+strings.Join(lost, ", "), 6, plain)
			}
		}
	}
}
