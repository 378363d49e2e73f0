package profile

import (
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile/count"
)

// Row is a line of the annotated tree of counts, the counterpart of the paper's Tables
// 7 to 10: how often something happened, and how often for each frame that came in.
type Row struct {
	Depth int
	Name  string
	Pass  string // whose slices it was counted in
	Count uint64
	// PerFrame is by frames that NAPI took in, PerPacket by packets that were handed up
	// (after GRO), PerMB by megabytes (10^6) that IP received, all in the same slices. 0
	// where there were none.
	PerFrame, PerPacket, PerMB float64
}

// Totals is what the counts are divided by.
type Totals struct {
	Frames, Packets uint64
	Bytes           uint64
	Seconds         float64
}

// FrameTotals is that of the per-frame pass.
func (p *Profile) FrameTotals() (t Totals) {
	if x := p.pass(PassFrame); x != nil && p.Frame != nil {
		n := p.Frame.total()
		t = Totals{Frames: n.GROFrames + n.NetifRX, Packets: n.Received, Bytes: x.Bytes, Seconds: x.Seconds}
	}
	return t
}

// LightTotals is that of the light pass, which sees no packets: their number is taken
// from the frames by the ratio of the per-frame pass.
func (p *Profile) LightTotals() (t Totals) {
	x := p.pass(PassLight)
	if x == nil || p.Light == nil {
		return t
	}
	t = Totals{Frames: p.Light.total().Work, Bytes: x.Bytes, Seconds: x.Seconds}
	if f := p.FrameTotals(); f.Frames > 0 {
		t.Packets = uint64(float64(t.Frames) * float64(f.Packets) / float64(f.Frames))
	}
	return t
}

func (c *Counted) total() count.NICCounts {
	sum := count.Counts{NICs: map[count.NIC]count.NICCounts{}}
	for _, n := range c.NICs {
		sum.NICs[count.NIC{Netns: n.Netns, Index: n.Index}] = n.NICCounts
	}
	return sum.Total()
}

// cache sums the slab caches whose names begin so.
func (c *Counted) cache(prefixes ...string) (n count.CacheCounts) {
	for name, x := range c.Caches {
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				n.Allocs += x.Allocs
				n.Frees += x.Frees
			}
		}
	}
	return n
}

// CountTree is the annotated tree.
func (p *Profile) CountTree() []Row {
	var b rows
	if p.Light != nil {
		b.totals, b.pass = p.LightTotals(), PassLight
		b.light(p.Light)
	}
	if p.Frame != nil {
		b.totals, b.pass = p.FrameTotals(), PassFrame
		b.frame(p.Frame)
	}
	if p.Light == nil && p.Frame == nil {
		b.counters(p)
	}
	if x := p.pass(PassLock); x != nil {
		var waits, ns uint64
		for _, s := range p.Locks {
			waits += s.Count
			ns += uint64(s.Total)
		}
		b.totals, b.pass = Totals{Bytes: x.Bytes, Seconds: x.Seconds}, PassLock
		b.add(0, "waits for locks", waits)
		b.add(1, "nanoseconds waited", ns)
	}
	return b.rows
}

// rows gathers rows of one pass after the other.
type rows struct {
	rows   []Row
	totals Totals
	pass   string
}

func (b *rows) add(depth int, name string, n uint64) {
	r := Row{Depth: depth, Name: name, Pass: b.pass, Count: n}
	if b.totals.Frames > 0 {
		r.PerFrame = float64(n) / float64(b.totals.Frames)
	}
	if b.totals.Packets > 0 {
		r.PerPacket = float64(n) / float64(b.totals.Packets)
	}
	if b.totals.Bytes > 0 {
		r.PerMB = float64(n) / (float64(b.totals.Bytes) / 1e6)
	}
	b.rows = append(b.rows, r)
}

// counters is what the kernel itself counts, for users without rights.
func (b *rows) counters(p *Profile) {
	x := p.pass(PassOff)
	if x == nil || len(p.Counters) == 0 {
		return
	}
	b.totals, b.pass = Totals{Packets: p.Counters[kernelPackets], Bytes: x.Bytes, Seconds: x.Seconds}, PassOff
	b.add(0, "packets handed up (softnet processed)", p.Counters[kernelPackets])
	b.add(0, "device interrupts", p.Counters[kernelIRQs])
	b.add(0, "receive softirqs", p.Counters["softirqs.net_rx"])
	b.add(0, "transmit softirqs", p.Counters["softirqs.net_tx"])
	b.add(0, "timer interrupts", p.Counters["interrupts.loc"])
	b.add(0, "interrupts to reschedule", p.Counters["interrupts.res"])
	b.add(0, "interrupts to call a function", p.Counters["interrupts.cal"])
	b.add(0, "context switches", p.Counters[kernelSwitches])
}

func (b *rows) light(c *Counted) {
	e, k, n := c.Events, c.Kernel, c.total()
	b.add(0, "device interrupts", k[kernelIRQs])
	b.add(0, "receive softirqs", k["softirqs.net_rx"])
	b.add(0, "NAPI polls", n.Polls)
	b.add(1, "frames taken in (work)", n.Work)
	b.add(1, "polls without a frame", n.PollsEmpty)
	b.add(1, "polls of a full budget", n.PollsFull)
	b.add(0, "transmit softirqs", k["softirqs.net_tx"])
	b.add(0, "timer interrupts", k["interrupts.loc"])
	// x86 has names for them, Arm numbers (arch/arm64/kernel/smp.c).
	reschedule, call := k["interrupts.res"]+k["interrupts.ipi0"], k["interrupts.cal"]+k["interrupts.ipi1"]
	b.add(0, "interrupts from other CPUs", reschedule+call)
	b.add(1, "to reschedule", reschedule)
	b.add(1, "to call a function", call)
	b.add(0, "wake-ups", e[count.Wakeup])
	b.add(1, "of a task on another CPU", e[count.WakeupRemote])
	b.add(0, "context switches", e[count.Switch])
	b.add(1, "to idle", e[count.SwitchToIdle])
	b.add(1, "by preemption", e[count.SwitchPreempted])
	b.add(0, "migrations of tasks", e[count.Migration])
}

func (b *rows) frame(c *Counted) {
	e, n := c.Events, c.total()
	b.add(0, "frames in", n.GROFrames+n.NetifRX)
	b.add(1, "given to GRO", n.GROFrames)
	b.add(1, "through the backlog (netif_rx)", n.NetifRX)
	b.add(1, "packets handed up (netif_receive_skb)", n.Received)
	b.add(2, "TCP segments on connections (tcp_probe)", e[count.TCPSegment])
	b.add(2, "buffers copied to user", e[count.CopyToUser])
	b.add(2, "receive calls", n.RecvCalls)
	b.add(0, "frames out (net_dev_xmit)", n.Xmit)
	b.add(1, "send calls", n.SendCalls)
	b.add(1, "retransmitted", e[count.TCPRetransmit])
	heads, small := c.cache("skbuff_head_cache", "skbuff_fclone_cache"), c.cache("skbuff_small_head")
	var other count.CacheCounts
	for name, x := range c.Caches {
		if !strings.HasPrefix(name, "skbuff_") && !strings.HasPrefix(name, "kmalloc-") {
			other.Allocs += x.Allocs
			other.Frees += x.Frees
		}
	}
	b.add(0, "allocations", heads.Allocs+small.Allocs+other.Allocs+e[count.Kmalloc]+e[count.PageAlloc])
	b.add(1, "buffer heads (sk_buff)", heads.Allocs)
	b.add(1, "small buffers (skbuff_small_head)", small.Allocs)
	b.add(1, "kmalloc", e[count.Kmalloc])
	b.add(1, "other slab caches", other.Allocs)
	b.add(1, "pages (mm_page_alloc)", e[count.PageAlloc])
	b.add(1, "out of page pools", e[count.PagePoolHold])
	b.add(0, "frees", heads.Frees+small.Frees+other.Frees+e[count.Kfree]+e[count.PageFree])
	b.add(1, "buffer heads (sk_buff)", heads.Frees)
	b.add(2, "on another CPU than allocated", e[count.SKBFreedRemote])
	b.add(1, "small buffers (skbuff_small_head)", small.Frees)
	b.add(1, "kfree", e[count.Kfree])
	b.add(1, "other slab caches", other.Frees)
	b.add(1, "pages (mm_page_free)", e[count.PageFree])
	b.add(0, "buffers dropped (kfree_skb)", e[count.SKBDropped])
	b.add(0, "bytes copied to user", e[count.CopyToUserBytes])
	b.add(1, "out of buffers of another CPU", e[count.CopyRemoteBytes])
	b.add(0, "bytes given to send calls", n.SendBytes)
	b.add(0, "bytes returned by receive calls", n.RecvBytes)
}
