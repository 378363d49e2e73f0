package count

import "maps"

// Counts are sums over all CPUs. They only grow: take [Counts.Since].
type Counts struct {
	Events map[string]uint64 // by the names of Events
	NICs   map[NIC]NICCounts
	Caches map[string]CacheCounts // by slab cache
}

// NIC is a NIC of a network namespace. Index 0 is what belongs to no NIC: the
// sockets, and the backlog that loopback and RPS go through (namespace 0).
type NIC struct {
	Netns uint32 // the namespace's inode, as in /proc/PID/ns/net
	Index uint32
}

// NICCounts is what one NIC did.
type NICCounts struct {
	Polls         uint64 `json:"napi_polls,omitempty"`
	Work          uint64 `json:"napi_work,omitempty"` // frames, by the driver's own account
	PollsEmpty    uint64 `json:"napi_polls_without_work,omitempty"`
	PollsFull     uint64 `json:"napi_polls_of_full_budget,omitempty"`
	GROFrames     uint64 `json:"gro_frames,omitempty"` // frames given to GRO
	GROBytes      uint64 `json:"gro_bytes,omitempty"`
	Received      uint64 `json:"packets_handed_up,omitempty"` // after GRO: netif_receive_skb
	ReceivedBytes uint64 `json:"bytes_handed_up,omitempty"`
	NetifRX       uint64 `json:"netif_rx,omitempty"`
	Xmit          uint64 `json:"xmit,omitempty"` // given to the driver; a TSO super-packet counts once
	XmitBytes     uint64 `json:"xmit_bytes,omitempty"`
	XmitFailed    uint64 `json:"xmit_failed,omitempty"`
	SendCalls     uint64 `json:"send_calls,omitempty"`
	SendBytes     uint64 `json:"send_bytes,omitempty"`
	RecvCalls     uint64 `json:"recv_calls,omitempty"`
	RecvBytes     uint64 `json:"recv_bytes,omitempty"`
}

// CacheCounts is what one slab cache gave and took.
type CacheCounts struct {
	Allocs uint64 `json:"allocs"`
	Frees  uint64 `json:"frees"`
}

// The names of events. Those with a tracepoint of the same name count its hits.
const (
	Switch          = "sched_switch"     // context switches
	SwitchToIdle    = "switch_to_idle"   // of them, to the idle task
	SwitchPreempted = "switch_preempted" // of them, by preemption
	Wakeup          = "sched_wakeup"
	WakeupRemote    = "sched_wakeup_remote" // of them, of a task on another CPU than the waker
	Migration       = "sched_migrate_task"
	Kmalloc         = "kmalloc"
	KmallocBytes    = "kmalloc_bytes"
	Kfree           = "kfree"
	PageAlloc       = "mm_page_alloc"
	PagesAlloc      = "pages_allocated"
	PageFree        = "mm_page_free"
	PagesFree       = "pages_freed"
	PagePoolHold    = "page_pool_state_hold"
	PagePoolRelease = "page_pool_state_release"
	SKBConsumed     = "consume_skb"
	SKBDropped      = "kfree_skb"        // freed as dropped
	SKBFreedRemote  = "skb_freed_remote" // heads freed by another CPU than allocated them
	CopyToUser      = "skb_copy_datagram_iovec"
	CopyToUserBytes = "copied_to_user_bytes"
	CopyRemoteBytes = "copied_remote_bytes" // of them, out of buffers that another CPU allocated
	TCPSegment      = "tcp_probe"           // segments and acknowledgements received on established connections
	TCPRetransmit   = "tcp_retransmit_skb"
	Lost            = "lost"
)

// eventNames are the names by the programs' enum counter.
var eventNames = map[countCounter]string{
	countCounterSWITCH: Switch, countCounterSWITCH_TO_IDLE: SwitchToIdle, countCounterSWITCH_PREEMPTED: SwitchPreempted,
	countCounterWAKEUP: Wakeup, countCounterWAKEUP_REMOTE: WakeupRemote, countCounterMIGRATION: Migration,
	countCounterKMALLOC: Kmalloc, countCounterKMALLOC_BYTES: KmallocBytes, countCounterKFREE: Kfree,
	countCounterPAGE_ALLOC: PageAlloc, countCounterPAGES_ALLOC: PagesAlloc, countCounterPAGE_FREE: PageFree, countCounterPAGES_FREE: PagesFree,
	countCounterPAGE_POOL_HOLD: PagePoolHold, countCounterPAGE_POOL_RELEASE: PagePoolRelease,
	countCounterSKB_CONSUMED: SKBConsumed, countCounterSKB_DROPPED: SKBDropped, countCounterSKB_FREED_REMOTE: SKBFreedRemote,
	countCounterCOPY_TO_USER: CopyToUser, countCounterCOPY_TO_USER_BYTES: CopyToUserBytes, countCounterCOPY_REMOTE_BYTES: CopyRemoteBytes,
	countCounterTCP_SEGMENT: TCPSegment, countCounterTCP_RETRANSMIT: TCPRetransmit, countCounterLOST: Lost,
}

func fromKernel(v *countNic) NICCounts {
	return NICCounts{
		v.Polls, v.Work, v.PollsEmpty, v.PollsFull, v.GroFrames, v.GroBytes, v.Received, v.ReceivedBytes,
		v.NetifRx, v.Xmit, v.XmitBytes, v.XmitFailed, v.SendCalls, v.SendBytes, v.RecvCalls, v.RecvBytes,
	}
}

// plus adds b, sign times.
func (n NICCounts) plus(b NICCounts, sign uint64) NICCounts {
	return NICCounts{
		n.Polls + sign*b.Polls, n.Work + sign*b.Work, n.PollsEmpty + sign*b.PollsEmpty, n.PollsFull + sign*b.PollsFull,
		n.GROFrames + sign*b.GROFrames, n.GROBytes + sign*b.GROBytes, n.Received + sign*b.Received, n.ReceivedBytes + sign*b.ReceivedBytes,
		n.NetifRX + sign*b.NetifRX, n.Xmit + sign*b.Xmit, n.XmitBytes + sign*b.XmitBytes, n.XmitFailed + sign*b.XmitFailed,
		n.SendCalls + sign*b.SendCalls, n.SendBytes + sign*b.SendBytes, n.RecvCalls + sign*b.RecvCalls, n.RecvBytes + sign*b.RecvBytes,
	}
}

// minus is ^0 copies more, which is one less in 64 bits.
const minus = ^uint64(0)

// Since is what was counted after an earlier reading.
func (c *Counts) Since(earlier *Counts) *Counts { return c.combine(earlier, minus) }

// Add adds what another pass or slice counted.
func (c *Counts) Add(more *Counts) *Counts { return c.combine(more, 1) }

func (c *Counts) combine(o *Counts, sign uint64) *Counts {
	out := &Counts{Events: maps.Clone(c.Events), NICs: maps.Clone(c.NICs), Caches: maps.Clone(c.Caches)}
	for k, v := range o.Events {
		out.Events[k] += sign * v
	}
	for k, v := range o.NICs {
		out.NICs[k] = out.NICs[k].plus(v, sign)
	}
	for k, v := range o.Caches {
		n := out.Caches[k]
		n.Allocs += sign * v.Allocs
		n.Frees += sign * v.Frees
		out.Caches[k] = n
	}
	maps.DeleteFunc(out.Events, func(_ string, n uint64) bool { return n == 0 })
	maps.DeleteFunc(out.NICs, func(_ NIC, n NICCounts) bool { return n == NICCounts{} })
	maps.DeleteFunc(out.Caches, func(_ string, n CacheCounts) bool { return n == CacheCounts{} })
	return out
}

// Total is the sum over all NICs and sockets.
func (c *Counts) Total() NICCounts {
	var sum NICCounts
	for _, n := range c.NICs {
		sum = sum.plus(n, 1)
	}
	return sum
}
