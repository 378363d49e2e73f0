package ustack

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stackmeter/stackmeter/memcopy"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Stack is a TCP/IP stack on one device. Its methods may be called by any goroutine.
type Stack struct {
	cfg  Config
	info DeviceInfo
	routines
	toUser   copier // copy, or what AroundCopy made of it
	foldUser fuser  // fuse, or what AroundCopy made of it
	start    time.Time
	secret   [2]uint64
	own      map[wire.Addr]bool
	links    []link
	frames   frame.Config
	// payloadAt is where in a frame the payload of a TCP segment goes on send, bytes.
	payloadAt int
	routes    map[int]wire.Addr // default router by IP version

	shards []*shard
	turn   atomic.Uint32 // which shard gets the next flow opened from here
	neigh  neighbours
	// self and direct stand for no neighbour: packets come back to the stack, or need
	// no address of the link.
	self, direct neighbour
	paths        paths

	discovery discovery

	fragmentID atomic.Uint32 // of the packet last sent in fragments; begins anywhere

	mu        sync.Mutex
	closed    bool
	listeners map[endpoint]*Listener
	packets   map[endpoint]*PacketConn
	connected map[flowKey]*PacketConn
	anyUDP    *UDPListener
	flows     sync.Map // flowKey -> *shard, where there are several shards

	spread  *spreading // nil: packets stay in their shards
	running sync.WaitGroup
}

// link is a prefix whose addresses are reached without a router.
type link struct {
	prefix netip.Prefix
	own    wire.Addr
}

// endpoint is a local address and port; the zero address stands for all.
type endpoint struct {
	addr wire.Addr
	port uint16
}

// flowKey names a connection.
type flowKey struct {
	local, remote         wire.Addr
	localPort, remotePort uint16
}

// New makes a stack and starts its shards, one for each queue of the device. The stack
// owns the device from now on.
func New(cfg Config) (*Stack, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	st := &Stack{
		info: cfg.Device.Info(), start: time.Now(), own: map[wire.Addr]bool{}, routes: map[int]wire.Addr{},
		listeners: map[endpoint]*Listener{}, packets: map[endpoint]*PacketConn{}, connected: map[flowKey]*PacketConn{},
	}
	if cfg.Techniques, st.routines, err = cfg.Techniques.complete(); err != nil {
		return nil, err
	}
	st.toUser, st.foldUser = st.copy, st.fuse
	if around := cfg.AroundCopy; around != nil {
		st.toUser = around(false, st.copy)
		st.foldUser = func(sum *memcopy.Partial, dst, src []byte) int {
			return around(true, func(dst, src []byte) int { return st.fuse(sum, dst, src) })(dst, src)
		}
	}
	st.cfg = cfg
	st.layOut()
	var seed [20]byte
	_, _ = rand.Read(seed[:]) // never fails
	st.fragmentID.Store(binary.LittleEndian.Uint32(seed[16:]))
	st.secret = [2]uint64{binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:])}
	for _, p := range cfg.Addresses {
		a := wire.AddrOf(p.Addr())
		st.own[a] = true
		st.links = append(st.links, link{p.Masked(), a})
	}
	for _, g := range cfg.Gateways {
		a := wire.AddrOf(g)
		st.routes[a.Version()] = a
	}
	st.neigh.init(st)
	st.discovery.heard = make(chan struct{}, 1)
	for i := range st.info.Queues {
		s, err := newShard(st, i)
		if err != nil {
			return nil, errors.Join(err, st.closeShards(), cfg.Device.Close())
		}
		st.shards = append(st.shards, s)
	}
	if cfg.Techniques.Locality == Spread {
		if st.spread, err = startSpreading(); err != nil {
			return nil, errors.Join(err, st.closeShards(), cfg.Device.Close())
		}
	}
	for _, s := range st.shards {
		st.running.Go(s.run)
	}
	return st, nil
}

// now is the stack's clock: nanoseconds, never 0.
func (st *Stack) now() int64 { return int64(time.Since(st.start)) + int64(time.Second) }

// source returns the address to use towards dst, and the next hop.
func (st *Stack) source(dst wire.Addr) (src, hop wire.Addr, err error) {
	if st.own[dst] {
		return dst, dst, nil
	}
	d := dst.Netip()
	for _, l := range st.links {
		if l.prefix.Contains(d) {
			return l.own, dst, nil
		}
	}
	if dst.LinkLocal() {
		return st.linkLocalSource(dst)
	}
	r, ok := st.routes[dst.Version()]
	if !ok && dst.Version() == 6 {
		r, ok = st.discovered()
	}
	if !ok && st.info.Link == LinkEthernet {
		return src, hop, fmt.Errorf("no route to %v: it is on no prefix of Config.Addresses, and there is no gateway for IPv%d", d, dst.Version())
	}
	if !ok {
		r = dst // a point-to-point link leads everywhere
	}
	for _, l := range st.links {
		if l.own.Version() == dst.Version() && (l.prefix.Contains(r.Netip()) || r.LinkLocal() || st.info.Link == LinkIP) {
			return l.own, r, nil
		}
	}
	return src, hop, fmt.Errorf("no route to %v: no own address reaches the gateway", d)
}

// linkLocalSource is source for an address of the link, which any own address reaches.
func (st *Stack) linkLocalSource(dst wire.Addr) (src, hop wire.Addr, err error) {
	for _, l := range st.links {
		if l.own.Version() == 6 {
			return l.own, dst, nil
		}
	}
	return src, hop, fmt.Errorf("no route to %v: the stack has no IPv6 address", dst)
}

// mss is the longest TCP payload of a packet to dst that is mtu bytes long, without TCP
// options.
func mss(mtu int, dst *wire.Addr) int { return mtu - wire.IPHeaderLen(dst) - wire.TCPLen }

// tcpConfig is what a connection is made with.
func (st *Stack) tcpConfig(k *flowKey, now int64) tcp.Config {
	t := &st.cfg.TCP
	burst := st.info.SegmentSize
	if burst == 0 {
		burst = burstMax
	}
	c := tcp.Config{
		MSS: mss(st.linkMTU(&k.remote), &k.remote), MSSMin: mss(leastMTU(&k.remote), &k.remote),
		MSSPath: mss(st.mtu(&k.remote, now), &k.remote), NoMTUProbing: t.NoMTUProbing, BurstMax: burst,
		ReceiveMin: t.ReceiveBuffer, ReceiveMax: t.ReceiveBufferMax,
		Congestion: tcp.Congestion(t.Congestion), Pacing: t.Pacing, ECN: t.ECN,
		NoSACK: t.NoSACK, NoTimestamp: t.NoTimestamps, NoRACK: t.NoRACK,
		NoDelay:     true, // as package net has it
		UserTimeout: int64(t.UserTimeout),
		ISN:         st.isn(k, now), TSOffset: st.timestampOffset(k),
	}
	if t.KeepAlive > 0 {
		c.KeepIdle, c.KeepInterval, c.KeepCount = int64(t.KeepAlive), int64(t.KeepAlive), 9
	}
	return c
}

// burstMax is how many bytes TCP may send at once where the stack cuts segments.
const burstMax = 64 << 10

// Close ends the stack at once: connections are reset, listeners closed, the device
// closed. It returns when all goroutines of the stack have ended.
func (st *Stack) Close() error {
	st.mu.Lock()
	if st.closed {
		st.mu.Unlock()
		return nil
	}
	st.closed = true
	udp := st.anyUDP
	listeners, packets, connected := st.listeners, st.packets, st.connected
	st.listeners, st.packets, st.connected = map[endpoint]*Listener{}, map[endpoint]*PacketConn{}, map[flowKey]*PacketConn{}
	st.mu.Unlock()
	for _, l := range listeners {
		l.shut()
	}
	if udp != nil {
		_ = udp.Close()
	}
	for _, p := range packets {
		p.shut()
	}
	for _, p := range connected {
		p.shut()
	}
	for _, s := range st.shards {
		s.stop()
	}
	st.running.Wait()
	st.spread.stop()
	st.neigh.sweep(st.now(), true)
	return errors.Join(st.closeShards(), st.cfg.Device.Close())
}

func (st *Stack) closeShards() error {
	var errs []error
	for _, s := range st.shards {
		errs = append(errs, s.release())
	}
	return errors.Join(errs...)
}

// Shutdown ends the stack with grace: it closes listeners and connections, waits until
// the peers have got all that was written, or for ctx, and then closes the stack.
func (st *Stack) Shutdown(ctx context.Context) error {
	st.mu.Lock()
	listeners := st.listeners
	st.listeners = map[endpoint]*Listener{}
	st.mu.Unlock()
	for _, l := range listeners {
		l.shut()
	}
	for _, s := range st.shards {
		s.closeAll()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for st.open() > 0 {
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), st.Close())
		case <-tick.C:
		}
	}
	return st.Close()
}

// open is how many connections are neither gone nor in TIME-WAIT.
func (st *Stack) open() int {
	n := 0
	for _, s := range st.shards {
		n += s.open()
	}
	return n
}
