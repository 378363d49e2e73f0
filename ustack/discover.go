package ustack

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// discovery is what the stack asks its link for.
type discovery struct {
	one    sync.Mutex  // one asks at a time
	asking atomic.Bool // of duplicates: arrivals are compared with taken
	mu     sync.Mutex
	taken  map[wire.Addr]bool // own addresses that are being asked for; true: another has it

	wanted atomic.Bool // routers are believed
	router atomic.Pointer[router]
	mtu    atomic.Int64  // of the link, as the router says; 0: it does not
	heard  chan struct{} // a router was heard of
}

// router is a default router of IPv6 that was discovered.
type router struct {
	addr  wire.Addr
	until int64
}

// errNoRouter says that no router answered.
var errNoRouter = errors.New("ustack: no router has answered: set Config.Gateways, or try again")

// Duplicates asks the link whether another station has one of the stack's addresses
// (RFC 4862, 5.4; RFC 5227), waits a second for answers, and returns those that are
// taken. A stack does not ask on its own, and uses its addresses meanwhile; it defends
// them against stations that ask. A device without Ethernet has no other stations.
func (st *Stack) Duplicates(ctx context.Context) ([]netip.Addr, error) {
	if st.info.Link != LinkEthernet {
		return nil, nil
	}
	d := &st.discovery
	d.one.Lock()
	defer d.one.Unlock()
	d.mu.Lock()
	d.taken = map[wire.Addr]bool{}
	for a := range st.own {
		d.taken[a] = false
	}
	d.mu.Unlock()
	d.asking.Store(true)
	defer d.asking.Store(false)
	s := st.shards[0]
	s.call(func(int64) {
		for a := range st.own {
			s.probe(a)
		}
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Duration(retransTime)):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []netip.Addr
	for a, yes := range d.taken {
		if yes {
			list = append(list, a.Netip())
		}
	}
	return list, nil
}

// probe asks who has one of the stack's own addresses.
func (s *shard) probe(a wire.Addr) {
	f := s.pool.One()
	if f == nil {
		s.counters[txNoFrame]++
		return
	}
	if a.Is4() {
		s.sendARP(f, wire.ARPRequest, wire.Broadcast, wire.ARP{Sender: wire.Addr4(make([]byte, 4)), Target: a})
		return
	}
	dst := wire.SolicitedNode(&a)
	b := f.Extend(wire.ICMPLen + 16) // no option: the sender has no address yet
	(&wire.ICMP{Type: wire.ICMP6Solicitation}).Put(b)
	copy(b[wire.ICMPLen:], a[:])
	s.sealNDP(f, wire.Addr{}, dst, wire.MulticastHW(&dst))
}

// isTaken notes that another station has an address, if that was asked.
func (st *Stack) isTaken(a wire.Addr, by wire.HW) {
	d := &st.discovery
	if !d.asking.Load() || by == st.info.HWAddr {
		return
	}
	d.mu.Lock()
	if _, asked := d.taken[a]; asked {
		d.taken[a] = true
	}
	d.mu.Unlock()
}

// DiscoverRouter asks the link for an IPv6 router (RFC 4861, 6.3.7), up to three times,
// and uses the one that answers as default router, with the MTU that it says, for as
// long as it says: from now on advertisements are believed, which all stations of the
// link can send. A router in Config.Gateways goes first.
func (st *Stack) DiscoverRouter(ctx context.Context) (netip.Addr, error) {
	if st.info.Link != LinkEthernet {
		return netip.Addr{}, errors.New("ustack: a device without Ethernet has no routers to be asked")
	}
	d := &st.discovery
	d.wanted.Store(true)
	s := st.shards[0]
	for range probesMax {
		s.call(func(int64) { s.solicitRouter() })
		select {
		case <-ctx.Done():
			return netip.Addr{}, ctx.Err()
		case <-d.heard:
			if r := d.router.Load(); r != nil {
				return r.addr.Netip(), nil
			}
		case <-time.After(time.Duration(retransTime)):
		}
	}
	return netip.Addr{}, errNoRouter
}

// allRouters is the multicast address of the routers of a link.
var allRouters = wire.Addr{0: 0xff, 1: 0x02, 15: 2}

func (s *shard) solicitRouter() {
	f := s.pool.One()
	if f == nil {
		s.counters[txNoFrame]++
		return
	}
	(&wire.ICMP{Type: wire.ICMP6RouterSolicit}).Put(f.Extend(wire.ICMPLen))
	s.sealNDP(f, wire.Addr{}, allRouters, wire.MulticastHW(&allRouters))
}

// advertised takes in a router advertisement.
func (s *shard) advertised(ip *wire.IP, r *wire.RouterAdvert, now int64) {
	d := &s.st.discovery
	if !d.wanted.Load() {
		return
	}
	old := d.router.Load()
	switch {
	case r.Lifetime > 0:
		if old == nil || old.addr == ip.Src || now >= old.until {
			d.router.Store(&router{ip.Src, now + int64(r.Lifetime)*int64(time.Second)})
			if r.MTU >= ip6Min {
				d.mtu.Store(int64(r.MTU))
			}
		}
	case old != nil && old.addr == ip.Src:
		d.router.Store(nil) // it is a router no longer
	}
	if r.HasHW {
		s.st.neigh.get(ip.Src)
		s.learn(ip.Src, r.HW)
	}
	signal(d.heard)
}

// discovered returns the default router of IPv6 that was discovered.
func (st *Stack) discovered() (wire.Addr, bool) {
	r := st.discovery.router.Load()
	if r == nil || st.now() >= r.until {
		return wire.Addr{}, false
	}
	return r.addr, true
}
