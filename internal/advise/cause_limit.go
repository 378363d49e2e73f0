package advise

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Thresholds of what bounds throughput whatever the CPUs do.
const (
	heldBack     = 100.0 // packets that a queueing discipline held back in a trial
	farBelow     = 0.6   // of the other NICs' median throughput
	idleEnough   = 0.15  // of a CPU's time: it could have done more
	limitedShare = 0.4   // of a sender's time
	smallBuffer  = 256 << 10
	// limitedSomewhat is enough where the buffer is small and CPUs idle as well.
	limitedSomewhat = 0.2
	// lineRate is the share of a link from which it is full: pauses between bursts take the rest.
	lineRate = 0.95
	// narrowRate is the share of a PCI link or bus from which it may be the limit: requests and headers of
	// its own take the rest.
	narrowRate = 0.6
)

// Bytes of Ethernet around a packet: header, and with check sequence, preamble and gap; and of IP and TCP
// with timestamps within it.
const (
	ethernetHeader = 14
	ethernetAround = 38
	packetHeaders  = 52
)

// onLink is the share of its link that a NIC's payload takes with the frames around it, 0 where that is not
// known.
func (n *NIC) onLink() float64 {
	frame := float64(n.MTU + ethernetHeader)
	if n.framesFull() {
		frame = n.BytesPerFrame
	}
	payload := frame - ethernetHeader - packetHeaders
	if n.LinkBits <= 0 || payload <= 0 {
		return 0
	}
	return n.Throughput * (frame - ethernetHeader + ethernetAround) / payload / n.LinkBits
}

func linkRule() rule {
	return rule{
		LinkLimit, "a link, bus or rate limit",
		fmt.Sprintf("a NIC's sender held back %.0f packets or more in a trial in its queueing discipline and the NIC carries less than %.0f %% of the others' median or its CPUs are idle for %.0f %% or more; or a NIC's frames take %.0f %% or more of its link; or topo finds a link or bus narrower than its NICs, and these carry %.0f %% or more of it while CPUs are idle", heldBack, 100*farBelow, 100*idleEnough, 100*lineRate, 100*narrowRate),
		0, findLink,
	}
}

func findLink(e *Evidence) (*Cause, string) {
	c := &Cause{}
	var seen []string
	sender := ""
	for i, n := range e.NICs {
		other := othersMedian(e.NICs, i)
		below := len(e.NICs) > 1 && n.Throughput < farBelow*other
		seen = append(seen, fmt.Sprintf("%s carries %s, its sender held back %.0f packets", n.Name, unit.BitRate(n.Throughput), n.Held))
		if n.Held < heldBack || !below && e.idle() < idleEnough {
			continue
		}
		c.NICs, sender = append(c.NICs, n.Name), n.SenderNIC
		c.Why = append(c.Why,
			Figure{"throughput of " + n.Name, unit.BitRate(n.Throughput), "trials"},
			Figure{"held back by the sender's queueing discipline on " + n.SenderNIC, fmt.Sprintf("%.0f packets in a trial", n.Held), "overlimits of the qdisc (tc -s qdisc)"})
		weight := e.idle()
		if below {
			weight = 1 - n.Throughput/other
			c.Why = append(c.Why, Figure{"median of the other NICs", unit.BitRate(other), "trials"})
		}
		c.Weight = max(c.Weight, weight)
	}
	if len(c.NICs) > 0 {
		c.Text = fmt.Sprintf("%s: the sender's queueing discipline holds packets back, so the rate is its, not the stack's", strings.Join(c.NICs, ", "))
		c.Mend = fmt.Sprintf("at the sender: see it with `tc -s qdisc show dev %s`, and remove it (tc qdisc del dev %s root); advise replaces no queueing discipline that somebody made, as it could not put it back", sender, sender)
		return c, ""
	}
	for _, n := range e.NICs {
		if share := n.onLink(); share >= lineRate {
			c.NICs = append(c.NICs, n.Name)
			c.Why = append(c.Why,
				Figure{"throughput of " + n.Name, unit.BitRate(n.Throughput), "trials"},
				Figure{"link of " + n.Name, unit.BitRate(n.LinkBits) + ", of which its frames take " + unit.Percent(share), "topo: speed"})
		} else if share > 0 {
			seen = append(seen, fmt.Sprintf("frames of %s take %s of its link of %s", n.Name, unit.Percent(share), unit.BitRate(n.LinkBits)))
		}
	}
	if len(c.NICs) > 0 {
		c.Weight = float64(len(c.NICs)) / float64(len(e.NICs))
		c.Text = fmt.Sprintf("%s: the link is full; the stack can save CPU time, and carry no more", strings.Join(c.NICs, ", "))
		return c, ""
	}
	for _, j := range e.Arrangement {
		if j.Severity != topo.Problem || !slices.Contains(narrow, j.Code) || e.idle() < idleEnough {
			continue
		}
		var carried float64
		for _, n := range e.NICs {
			if slices.Contains(j.NICs, n.Name) {
				carried += n.Throughput
			}
		}
		if j.CapacityBits <= 0 || carried < narrowRate*j.CapacityBits {
			seen = append(seen, fmt.Sprintf("%s (%s), which carries %s", j.Code, strings.Join(j.NICs, ", "), unit.BitRate(carried)))
			continue
		}
		c.Text, c.Mend, c.NICs, c.Weight = j.Text, j.Mend, j.NICs, e.idle()
		for _, f := range j.Evidence {
			c.Why = append(c.Why, Figure{f.What, f.Value, "topo: " + f.From})
		}
		return c, ""
	}
	return nil, strings.Join(seen, "; ")
}

// narrow are topo's judgements of links and buses.
var narrow = []string{"link-narrow", "link-shared", "bus-shared"}

func othersMedian(nics []NIC, but int) float64 {
	var v []float64
	for i, n := range nics {
		if i != but {
			v = append(v, n.Throughput)
		}
	}
	return medianOf(v)
}

func windowRule() rule {
	return rule{
		ReceiveWindow, "the receive window",
		fmt.Sprintf("senders had to wait for the receiver's window for %.0f %% of their time or more (tcpi_rwnd_limited), while the receive buffer stayed below %s or CPUs were idle for %.0f %% or more; where both are so, %.0f %% is enough", 100*limitedShare, unit.Size(smallBuffer), 100*idleEnough, 100*limitedSomewhat),
		0, findWindow,
	}
}

func findWindow(e *Evidence) (*Cause, string) {
	var shares, buffers []float64
	for _, f := range e.Flows {
		if f.Known {
			shares = append(shares, f.ReceiveWindow)
			buffers = append(buffers, float64(f.ReceiveBuffer))
		}
	}
	if len(shares) == 0 {
		return nil, "the senders' TCP_INFO was not to be had"
	}
	share, buffer := medianOf(shares), medianOf(buffers)
	seen := fmt.Sprintf("senders waited for the receiver's window for %s of their time; receive buffers of %s", unit.Percent(share), roughly(buffer))
	small, idle := buffer < smallBuffer, e.idle() >= idleEnough
	enough := limitedShare
	if small && idle {
		enough = limitedSomewhat
	}
	if share < enough || !small && !idle {
		return nil, seen
	}
	c := &Cause{Text: seen, Weight: share, Mend: "larger receive buffers: the third number of net.ipv4.tcp_rmem, or none set by the program"}
	c.Why = []Figure{
		{"time limited by the receiver's window", unit.Percent(share), "tcpi_rwnd_limited of the senders, median over flows"},
		{"receive buffer", roughly(buffer), "SO_RCVBUF at the flows' end, median"},
	}
	if s := setting(e.Server, "net.ipv4.tcp_rmem", ""); s != nil {
		c.Why = append(c.Why, Figure{"net.ipv4.tcp_rmem", s.Value, "the server's sysctl"})
	}
	return c, ""
}

// roughly is a size in whole KiB, or MiB where it has some.
func roughly(bytes float64) string {
	step := int64(1 << 10)
	if bytes >= 4<<20 {
		step = 1 << 20
	}
	return unit.Size(int64(bytes) / step * step)
}

func senderRule() rule {
	return rule{
		SenderLimit, "the sender",
		fmt.Sprintf("senders had to wait for their own send buffer for %.0f %% of their time or more (tcpi_sndbuf_limited) while CPUs were idle for %.0f %% or more", 100*limitedShare, 100*idleEnough),
		0, findSender,
	}
}

func findSender(e *Evidence) (*Cause, string) {
	var shares []float64
	for _, f := range e.Flows {
		if f.Known {
			shares = append(shares, f.SendBuffer)
		}
	}
	if len(shares) == 0 {
		return nil, "the senders' TCP_INFO was not to be had"
	}
	share := medianOf(shares)
	seen := fmt.Sprintf("senders waited for their own buffers for %s of their time; the server's CPUs were idle for %s", unit.Percent(share), unit.Percent(e.idle()))
	if share < limitedShare || e.idle() < idleEnough {
		return nil, seen
	}
	return &Cause{
		Text: seen, Weight: share, Mend: "larger send buffers at the sender: the third number of net.ipv4.tcp_wmem",
		Why: []Figure{
			{"time limited by the send buffer", unit.Percent(share), "tcpi_sndbuf_limited of the senders, median over flows"},
			{"idle CPUs of the server", unit.Percent(e.idle()), "trials"},
		},
	}, ""
}

func idleRule() rule {
	return rule{
		Idle, "not the network stack: CPUs are idle",
		fmt.Sprintf("CPUs were idle for %.0f %% or more and no other cause was found", 100*2*idleEnough),
		9, findIdle,
	}
}

func findIdle(e *Evidence) (*Cause, string) {
	seen := fmt.Sprintf("the server's CPUs were idle for %s", unit.Percent(e.idle()))
	if len(e.CPUs) == 0 || e.idle() < 2*idleEnough {
		return nil, seen
	}
	return &Cause{
		Text: seen + " and nothing on this side limits: look at the peer, the link and the program", Weight: e.idle(),
		Why: []Figure{{"idle CPUs of the server", unit.Percent(e.idle()), "trials"}},
	}, ""
}
