package ustack

import (
	"sync"
	"sync/atomic"

	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Times of RFC 4861, 10, in nanoseconds, for ARP as well.
const (
	reachableTime = 30_000_000000
	retransTime   = 1_000_000000
	probesMax     = 3
	neighboursMax = 1024
	keptPerHop    = 64 // packets that wait for an address: a long datagram in fragments
	keptShare     = 8  // packets that wait for any are at most this part of a shard's frames
)

// neighbours are the stations of the link that the stack talks to.
type neighbours struct {
	st    *Stack
	mu    sync.Mutex
	table map[wire.Addr]*neighbour
	kept  atomic.Int64 // packets that wait, of all
	most  int64
}

// neighbour is one of them. Flows hold on to it, so that sending takes one atomic load.
type neighbour struct {
	ip    wire.Addr
	hw    atomic.Pointer[wire.HW] // nil: not known
	fresh atomic.Int64            // until when hw is believed without asking

	mu     sync.Mutex
	kept   frame.List
	asked  int64 // when it was last asked for
	probes int
}

func (t *neighbours) init(st *Stack) {
	t.st, t.table = st, map[wire.Addr]*neighbour{}
	t.most = max(keptPerHop, int64(st.frames.Limit/keptShare))
}

// giveUp drops the packets that wait for a neighbour's address.
func (t *neighbours) giveUp(n *neighbour) {
	n.mu.Lock()
	kept := n.kept
	n.kept = frame.List{}
	n.mu.Unlock()
	t.kept.Add(-int64(kept.N))
	frame.Free(kept.Head)
}

// sweep drops the packets that wait for neighbours which have not answered for long, or all.
func (t *neighbours) sweep(now int64, all bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.table {
		n.mu.Lock()
		silent := now-n.asked >= probesMax*retransTime
		n.mu.Unlock()
		if silent || all {
			t.giveUp(n)
		}
	}
}

// get returns the entry of a neighbour.
func (t *neighbours) get(ip wire.Addr) *neighbour {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.table[ip]; n != nil {
		return n
	}
	if len(t.table) >= neighboursMax {
		for ip, old := range t.table { // any: flows that hold it go on, others ask again
			t.giveUp(old)
			delete(t.table, ip)
			break
		}
	}
	n := &neighbour{ip: ip}
	if ip.Multicast() {
		n.hw.Store(new(wire.MulticastHW(&ip)))
		n.fresh.Store(forever)
	}
	t.table[ip] = n
	return n
}

// address returns the neighbour's address. If it is not known it keeps f, which begins
// with its IP header, and asks; if it may be out of date it asks too.
func (n *neighbour) address(s *shard, f *frame.Frame) (wire.HW, bool) {
	now := s.st.now()
	hw := n.hw.Load()
	if hw != nil && now < n.fresh.Load() {
		return *hw, true
	}
	n.mu.Lock()
	ask := now-n.asked >= retransTime || n.asked == 0
	if ask {
		n.asked = now
		n.probes++
	}
	if n.probes > probesMax && hw != nil {
		n.hw.Store(nil) // it has not answered: forget where it was
		n.probes = 0
	}
	full := hw == nil && s.st.neigh.kept.Load() >= s.st.neigh.most
	switch {
	case hw != nil:
	case full:
		s.drop(f, txNoNeighbour)
	default:
		for n.kept.N >= keptPerHop || n.probes > probesMax && n.kept.N > 0 {
			s.drop(n.kept.Pop(), txNoNeighbour)
			s.st.neigh.kept.Add(-1)
		}
		if n.probes > probesMax {
			n.probes = 1 // it was asked anew, for f
		}
		n.kept.Push(f)
		s.st.neigh.kept.Add(1)
	}
	n.mu.Unlock()
	if full {
		s.st.neigh.sweep(now, false)
	}
	if ask {
		s.ask(n.ip, hw)
	}
	if hw == nil {
		return wire.HW{}, false
	}
	return *hw, true
}

// learn takes in where a neighbour is, and sends what was kept for it.
func (s *shard) learn(ip wire.Addr, hw wire.HW) {
	if hw[0]&1 != 0 || ip.Multicast() || ip.Unspecified() || s.st.own[ip] {
		return
	}
	n := s.st.neigh.get(ip)
	n.mu.Lock()
	n.hw.Store(&hw)
	n.fresh.Store(s.st.now() + reachableTime)
	n.probes = 0
	kept := n.kept
	n.kept = frame.List{}
	n.mu.Unlock()
	s.st.neigh.kept.Add(-int64(kept.N))
	for f := kept.Pop(); f != nil; f = kept.Pop() {
		s.frameTo(hw, f)
	}
}

// ask asks where ip is: all stations, or, if it was known, the one that it was.
func (s *shard) ask(ip wire.Addr, known *wire.HW) {
	src, _, err := s.st.source(ip)
	f := s.pool.One()
	if err != nil || f == nil {
		if f != nil {
			s.pool.Put(f)
		}
		return
	}
	if ip.Is4() {
		to := wire.Broadcast
		if known != nil {
			to = *known
		}
		s.sendARP(f, wire.ARPRequest, to, wire.ARP{Sender: src, Target: ip})
		return
	}
	dst := wire.SolicitedNode(&ip)
	s.sendNDP(f, wire.ICMP6Solicitation, 0, src, dst, ip, wire.MulticastHW(&dst))
}

// arp is ARP (RFC 826).
func (s *shard) arp(f *frame.Frame, _ int64) {
	a, fault := wire.ParseARP(f.Bytes())
	if fault != wire.OK {
		s.reject(f, fault)
		return
	}
	s.st.isTaken(a.Sender, a.SenderHW)
	if a.Op == wire.ARPRequest && a.Sender.Unspecified() {
		s.st.isTaken(a.Target, a.SenderHW) // it asks for the same one
	}
	mine := s.st.own[a.Target]
	if mine || s.st.neigh.knows(a.Sender) {
		s.learn(a.Sender, a.SenderHW)
	}
	if !mine || a.Op != wire.ARPRequest {
		s.pool.Put(f)
		return
	}
	f.Reset(s.pool.Config().Headroom)
	s.sendARP(f, wire.ARPReply, a.SenderHW, wire.ARP{Sender: a.Target, Target: a.Sender, TargetHW: a.SenderHW})
}

// knows reports whether there is an entry, so that strangers cannot fill the table.
func (t *neighbours) knows(ip wire.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.table[ip] != nil
}

func (s *shard) sendARP(f *frame.Frame, op uint16, to wire.HW, a wire.ARP) {
	a.Op, a.SenderHW = op, s.st.info.HWAddr
	a.Put(f.Extend(wire.ARPLen))
	e := wire.Ethernet{Dst: to, Src: s.st.info.HWAddr, Type: wire.EtherARP}
	e.Put(f.Prepend(wire.EthernetLen))
	s.send(f)
}

// ndp is neighbour discovery (RFC 4861). f begins with the ICMPv6 header.
func (s *shard) ndp(f *frame.Frame, ip *wire.IP, kind uint8, from wire.HW) {
	n, fault := wire.ParseNDP(f.Bytes(), ip.TTL)
	if fault != wire.OK {
		s.reject(f, fault)
		return
	}
	if kind == wire.ICMP6Advertisement {
		s.st.isTaken(n.Target, n.HW)
		if n.HasHW && s.st.neigh.knows(n.Target) {
			s.learn(n.Target, n.HW)
		}
		s.pool.Put(f)
		return
	}
	asks := ip.Src.Unspecified() // whether it may have the address itself (RFC 4862, 5.4.3)
	if asks {
		s.st.isTaken(n.Target, from)
	}
	if !s.st.own[n.Target] || !n.HasHW && !asks {
		s.pool.Put(f)
		return
	}
	f.Reset(s.pool.Config().Headroom)
	if asks { // all must hear that it is taken (RFC 4861, 7.2.4)
		s.sendNDP(f, wire.ICMP6Advertisement, wire.NDPOverride, n.Target, allNodes, n.Target, wire.MulticastHW(&allNodes))
		return
	}
	s.learn(ip.Src, n.HW)
	s.sendNDP(f, wire.ICMP6Advertisement, wire.NDPSolicited|wire.NDPOverride, n.Target, ip.Src, n.Target, n.HW)
}

func (s *shard) sendNDP(f *frame.Frame, kind uint8, flags uint32, src, dst, target wire.Addr, to wire.HW) {
	b := f.Extend(wire.NDPLen)
	(&wire.ICMP{Type: kind, Rest: flags}).Put(b)
	(&wire.NDP{Target: target, HW: s.st.info.HWAddr}).Put(b, kind)
	s.sealNDP(f, src, dst, to)
}

// sealNDP sends a message of neighbour discovery that f holds.
func (s *shard) sealNDP(f *frame.Frame, src, dst wire.Addr, to wire.HW) {
	ip := wire.IP{Src: src, Dst: dst, Proto: wire.ProtoICMP6, TTL: 255}
	s.sealICMP(f, &ip)
	ip.HeaderLen, ip.Length = wire.IP6Len, wire.IP6Len+f.Len()
	ip.Put(f.Prepend(wire.IP6Len))
	s.frameTo(to, f)
}
