package advise

import (
	"fmt"
	"strings"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// framesFull reports whether a NIC receives frames of its MTU: not small ones, and not those that are merged
// before they are counted, as by LRO, or were never parted, as on virtual links.
func (n *NIC) framesFull() bool {
	mtu := float64(n.MTU)
	return n.BytesPerFrame >= fullFrame*mtu && n.BytesPerFrame <= mergedFrame*mtu
}

func groRule() rule {
	return rule{
		GROOff, "per-frame cost: frames are not merged (GRO)",
		fmt.Sprintf("GRO is off on a NIC whose frames are full (%.0f to %.0f %% of its MTU on average)", 100*fullFrame, 100*mergedFrame),
		1, findGRO,
	}
}

func findGRO(e *Evidence) (*Cause, string) {
	c := &Cause{Mend: "gro=on"}
	for _, n := range e.NICs {
		if n.GRO != "off" || !n.framesFull() {
			continue
		}
		c.NICs = append(c.NICs, n.Name)
		c.Why = append(c.Why,
			Figure{"gro of " + n.Name, "off", "ethtool"},
			Figure{"bytes per frame of " + n.Name, fmt.Sprintf("%.0f, of an MTU of %d", n.BytesPerFrame, n.MTU), "rx_bytes / rx_packets in the windows"})
	}
	merged := framesPerPacket(e)
	if len(c.NICs) == 0 {
		return nil, "GRO is on, or frames are small or merged before they are counted; " + merged
	}
	c.Weight = atStake * float64(len(c.NICs)) / float64(len(e.NICs))
	c.Text = fmt.Sprintf("GRO is off on %s: every frame passes the stack by itself", strings.Join(c.NICs, ", "))
	if e.Profile != nil && e.Profile.PerFrame >= 0 {
		c.Why = append(c.Why, Figure{"CPU time per frame and packet (driver to TCP, allocation)", unit.Percent(e.Profile.PerFrame), "profile, samples"})
	}
	c.Why = append(c.Why, Figure{"frames", merged, "profile, pass frame"})
	return c, ""
}

func framesPerPacket(e *Evidence) string {
	if e.Profile == nil || e.Profile.FramesPerPacket <= 0 {
		return "how many are merged was not measured"
	}
	return fmt.Sprintf("%.1f frames for each packet handed up", e.Profile.FramesPerPacket)
}

func mtuRule() rule {
	return rule{
		SmallMTU, "per-frame cost: small frames (MTU)",
		fmt.Sprintf("the MTU is %.0f %% or more below %d and frames are full (%.0f to %.0f %% of it on average)", 100*moreFrames, ethernetMTU, 100*fullFrame, 100*mergedFrame),
		1, findMTU,
	}
}

func findMTU(e *Evidence) (*Cause, string) {
	c := &Cause{Mend: fmt.Sprintf("mtu=%d, at both ends of the link: all of a link must agree", ethernetMTU)}
	var seen []string
	for _, n := range e.NICs {
		seen = append(seen, fmt.Sprintf("%s: MTU %d, %.0f bytes per frame", n.Name, n.MTU, n.BytesPerFrame))
		if n.MTU <= 0 || float64(n.MTU) > (1-moreFrames)*ethernetMTU || !n.framesFull() {
			continue
		}
		c.NICs = append(c.NICs, n.Name)
		c.Weight = max(c.Weight, 1-float64(n.MTU)/ethernetMTU)
		c.Why = append(c.Why,
			Figure{"mtu of " + n.Name, fmt.Sprint(n.MTU), "sysfs"},
			Figure{"bytes per frame of " + n.Name, fmt.Sprintf("%.0f", n.BytesPerFrame), "rx_bytes / rx_packets in the windows"})
	}
	if len(c.NICs) == 0 {
		return nil, strings.Join(seen, "; ")
	}
	c.Text = fmt.Sprintf("the MTU of %s is below Ethernet's %d: %.1f times as many frames as need be", strings.Join(c.NICs, ", "), ethernetMTU, 1/(1-c.Weight))
	return c, ""
}
