package ustack

import (
	"sync"
	"sync/atomic"

	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Bounds of what is remembered about paths.
const (
	pathsMax = 1024
	pathLife = 600_000_000000 // nanoseconds: a path may get wider (RFC 8201, 4; Linux: mtu_expires)
	ip4Min   = 576            // what every IPv4 host takes (RFC 791, 3.2; Linux: min_pmtu is 552)
	ip6Min   = 1280           // and every IPv6 link (RFC 8200, 5)
)

// paths are the destinations to which packets must be shorter than the link takes, as
// routers have said.
type paths struct {
	some  atomic.Bool // the table is not empty: what sends looks no further
	mu    sync.Mutex
	table map[wire.Addr]path
}

type path struct {
	mtu   int
	until int64
}

// mtu is the longest packet to dst, in bytes.
func (st *Stack) mtu(dst *wire.Addr, now int64) int {
	most := st.linkMTU(dst)
	if !st.paths.some.Load() {
		return most
	}
	t := &st.paths
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.table[*dst]
	if !ok {
		return most
	}
	if now >= p.until {
		delete(t.table, *dst)
		t.some.Store(len(t.table) > 0)
		return most
	}
	return min(p.mtu, most)
}

// linkMTU is what the link takes.
func (st *Stack) linkMTU(dst *wire.Addr) int {
	if said := int(st.discovery.mtu.Load()); said > 0 && !dst.Is4() {
		return min(said, st.info.MTU)
	}
	return st.info.MTU
}

// leastMTU is what every path to dst takes.
func leastMTU(dst *wire.Addr) int {
	if dst.Is4() {
		return ip4Min
	}
	return ip6Min
}

// shorten remembers what a router said.
func (st *Stack) shorten(dst wire.Addr, mtu int, now int64) {
	mtu = max(mtu, leastMTU(&dst))
	if mtu >= st.mtu(&dst, now) {
		return
	}
	t := &st.paths
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.table == nil {
		t.table = map[wire.Addr]path{}
	}
	if len(t.table) >= pathsMax {
		for old := range t.table { // any: it will be told again
			delete(t.table, old)
			break
		}
	}
	t.table[dst] = path{mtu, now + pathLife}
	t.some.Store(true)
}

// plateaus are MTUs of usual links, for routers that say 'too long' and no more
// (RFC 1191, 7.1).
var plateaus = [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1280, 1006, ip4Min}

// below returns the next MTU to try after mtu was too long.
func below(mtu int) int {
	for _, p := range plateaus {
		if p < mtu {
			return p
		}
	}
	return ip4Min
}
