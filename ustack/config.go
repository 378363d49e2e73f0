package ustack

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Congestion names a congestion control algorithm.
type Congestion uint8

// Algorithms.
const (
	CUBIC   Congestion = iota // RFC 9438
	NewReno                   // RFC 5681, 6582
)

// Config says what a stack is made of. Device and Addresses are needed; the zero value
// of all else is a good choice.
type Config struct {
	Device    Device
	Addresses []netip.Prefix // own addresses, with the length of their link's prefix
	Gateways  []netip.Addr   // default routers, at most one of each IP version

	// AnyAddress takes packets to any unicast address, not only to Addresses, as a proxy
	// does into whose device packets to others are routed. See [Stack.ListenAny].
	AnyAddress bool

	Techniques Techniques
	TCP        TCPConfig

	// Frames is how many packets each shard may hold at a time, unread and on their
	// way; 0: as many as take 256 MiB, of which only what is used is touched.
	Frames int

	// AroundCopy, if set, is given the routine that copies received bytes to the
	// application, and returns the one to be called instead: one that measures it. It is
	// called once for a plain routine, and for each copy that sums too (fused), which takes
	// memory from the heap. Several goroutines may call it, and what it returns, at the same time.
	AroundCopy func(fused bool, copy func(dst, src []byte) int) func(dst, src []byte) int
}

// TCPConfig is what TCP connections begin with.
type TCPConfig struct {
	Congestion Congestion
	Pacing     bool
	ECN        bool

	ReceiveBuffer    int // bytes at first; 0: 128 KiB
	ReceiveBufferMax int // bytes that it may grow to; 0: 6 MiB, as on Linux
	SendBufferMax    int // bytes; 0: 4 MiB, as on Linux

	KeepAlive   time.Duration // probe after so much silence; 0: 15 s, as package net; <0: never
	UserTimeout time.Duration // give up without progress; 0: 15 minutes
	Backlog     int           // connections of a listener not accepted yet; 0: 1024

	NoSACK, NoTimestamps, NoRACK bool // leave an extension out

	// Corking has the ends of a stream's writes, where they do not fill a segment, wait
	// for the next write, for half a millisecond at most. Else they are sent at once.
	Corking bool

	NoMTUProbing bool // trust routers to say which packets are too long
}

// complete checks c and fills in what was left out.
func (c Config) complete() (Config, error) {
	if c.Device == nil {
		return c, errors.New("ustack: Config.Device is nil: a stack needs a device")
	}
	if len(c.Addresses) == 0 {
		return c, errors.New("ustack: Config.Addresses is empty: a stack needs an address")
	}
	for _, p := range c.Addresses {
		if !p.IsValid() || p.Addr().Is4In6() {
			return c, fmt.Errorf("ustack: address %v is not valid", p)
		}
	}
	info := c.Device.Info()
	if info.Queues < 1 || info.MTU < 576 || info.ReceiveSize < info.MTU {
		return c, fmt.Errorf("ustack: device %s: %d queues, MTU %d, receive size %d: want at least 1, 576, the MTU",
			info.Name, info.Queues, info.MTU, info.ReceiveSize)
	}
	t := &c.TCP
	setDefault(&t.ReceiveBuffer, 128<<10)
	setDefault(&t.ReceiveBufferMax, 6<<20)
	setDefault(&t.SendBufferMax, 4<<20)
	setDefault(&t.Backlog, 1024)
	t.ReceiveBufferMax = max(t.ReceiveBufferMax, t.ReceiveBuffer)
	if t.KeepAlive == 0 {
		t.KeepAlive = 15 * time.Second
	}
	return c, nil
}

func setDefault(v *int, d int) {
	if *v == 0 {
		*v = d
	}
}
