package ustack_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// TestDuplicates has two stacks with the same IPv4 address, and others of IPv6, on one
// link.
func TestDuplicates(t *testing.T) {
	t.Parallel() // it waits
	da, db, err := pipe.New(pipe.Config{Link: ustack.LinkEthernet})
	if err != nil {
		t.Fatal(err)
	}
	a := stack(t, da, hostA, hostA6)
	b := stack(t, db, hostA, hostB6)
	for _, st := range []*ustack.Stack{a, b} {
		wantDuplicate(t, st, hostA)
	}
}

// wantDuplicate asks until there is an answer: on a busy machine the other stack may take longer than
// the second for which one question waits. What is found must be that address alone.
func wantDuplicate(t *testing.T, st *ustack.Stack, addr string) {
	t.Helper()
	for range 20 {
		list, err := st.Duplicates(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			continue
		}
		if !slices.Equal(list, []netip.Addr{netip.MustParseAddr(addr)}) {
			t.Errorf("%v, want %s", list, addr)
		}
		return
	}
	t.Errorf("%s is not found to be a duplicate", addr)
}

// TestDuplicatesOfIPv6 is the same for IPv6.
func TestDuplicatesOfIPv6(t *testing.T) {
	t.Parallel()
	da, db, err := pipe.New(pipe.Config{Link: ustack.LinkEthernet})
	if err != nil {
		t.Fatal(err)
	}
	a := stack(t, da, hostA, hostA6)
	_ = stack(t, db, hostB, hostA6)
	wantDuplicate(t, a, hostA6)
}

// TestDiscoverRouter answers a solicitation as a router does, and then takes what the
// stack sends to an address of another link.
func TestDiscoverRouter(t *testing.T) {
	da, db, err := pipe.New(pipe.Config{Link: ustack.LinkEthernet})
	if err != nil {
		t.Fatal(err)
	}
	st := stack(t, da, hostA, hostA6)
	pool, err := frame.NewPool(frame.Config{FrameSize: 2048, Limit: 64, Headroom: 128})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	q, err := db.Open(0, pool)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	router, hw := at("fe80::1"), wire.HW{2, 9, 9, 9, 9, 9}

	outcome := make(chan error, 1)
	go func() {
		r, err := st.DiscoverRouter(t.Context())
		if err == nil && r != router.Netip() {
			t.Errorf("found %v", r)
		}
		outcome <- err
	}()
	solicited := link6(t, q, func(ip *wire.IP, b []byte) bool {
		return ip.Proto == wire.ProtoICMP6 && b[0] == wire.ICMP6RouterSolicit && ip.TTL == 255
	})
	if solicited != (wire.HW{0x33, 0x33, 0, 0, 0, 2}) {
		t.Errorf("asked at %v", solicited)
	}
	f := pool.One()
	b := f.Extend(16 + 8 + 8)
	clear(b)
	b[0], b[4] = wire.ICMP6RouterAdvert, 64
	binary.BigEndian.PutUint16(b[6:], 1800)
	b[16], b[17] = 1, 1
	copy(b[18:], hw[:])
	b[24], b[25] = 5, 1
	binary.BigEndian.PutUint32(b[28:], 1400)
	ip := wire.IP{Src: router, Dst: at("ff02::1"), Proto: wire.ProtoICMP6, TTL: 255, HeaderLen: wire.IP6Len, Length: wire.IP6Len + len(b)}
	p := wire.Pseudo(&ip.Src, &ip.Dst, wire.ProtoICMP6, len(b))
	p.Add(b)
	binary.BigEndian.PutUint16(b[wire.ICMPChecksumAt:], p.Checksum())
	ip.Put(f.Prepend(wire.IP6Len))
	(&wire.Ethernet{Dst: wire.HW{0x33, 0x33, 0, 0, 0, 1}, Src: hw, Type: wire.EtherIP6}).Put(f.Prepend(wire.EthernetLen))
	if _, err := q.Send([]*frame.Frame{f}); err != nil {
		t.Fatal(err)
	}
	if err := <-outcome; err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = st.Dial(ctx, "tcp", "[2001:db8::5]:80")
	}()
	var syn wire.TCP
	to := link6(t, q, func(ip *wire.IP, b []byte) bool {
		return ip.Dst == at("2001:db8::5") && wire.ParseTCP(&syn, b) == wire.OK
	})
	if to != hw || syn.Options.MSS != 1400-60 {
		t.Errorf("the SYN went to %v with an MSS of %d", to, syn.Options.MSS)
	}
	cancel()
	<-ended
}

// link6 waits for an IPv6 packet that is as wanted, and returns the station it is for.
func link6(t *testing.T, q ustack.Queue, want func(ip *wire.IP, payload []byte) bool) wire.HW {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		var one [1]*frame.Frame
		if n, _ := q.Receive(one[:]); n == 0 {
			_ = q.Wait(10 * time.Millisecond)
			continue
		}
		b := one[0].Bytes()
		e, _ := wire.ParseEthernet(b)
		var ip wire.IP
		ok := e.Type == wire.EtherIP6 && wire.ParseIP(&ip, b[wire.EthernetLen:]) == wire.OK && want(&ip, b[wire.EthernetLen+ip.HeaderLen:])
		one[0].Next = nil
		frame.Free(one[0])
		if ok {
			return e.Dst
		}
	}
	t.Fatal("it was not sent")
	return wire.HW{}
}
