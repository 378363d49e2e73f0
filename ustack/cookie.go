package ustack

import (
	"github.com/stackmeter/stackmeter/ustack/frame"
	"github.com/stackmeter/stackmeter/ustack/internal/siphash"
	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// SYN cookies (RFC 4987, 3.6): where a listener has no place left for a connection that
// is being opened, the SYN-ACK's sequence number says all that there is to remember,
// under a keyed hash, and the peer brings it back. As on Linux, what a sequence number
// has no room for travels in the lowest bits of the timestamp.
//
//	sequence number: 5 bits of time, 3 bits of MSS, 24 bits of hash
//	timestamp:       ... 1 bit SACK permitted, 4 bits window scale (15: none)

const (
	cookieTick = 64_000_000000 // nanoseconds; a cookie is good for one to two ticks
	tsBits     = 5
	noScale    = 15
)

// cookieMSS are the segment sizes that a cookie can say.
var cookieMSS = [8]uint16{536, 1024, 1220, 1400, 1440, 1460, 4312, 8960}

// cookieHash is what proves that a cookie was made here, lately, for this SYN.
func (st *Stack) cookieHash(k *flowKey, tick int64, irs uint32) uint32 {
	b := [8]byte{byte(tick), byte(tick >> 8), byte(tick >> 16), byte(tick >> 24), byte(irs), byte(irs >> 8), byte(irs >> 16), byte(irs >> 24)}
	h := siphash.Sum([2]uint64{st.secret[0] ^ st.hash(k, 'c'), st.secret[1]}, b[:])
	return uint32(h) & (1<<24 - 1)
}

// sendCookie answers a SYN without remembering it.
func (s *shard) sendCookie(k *flowKey, seg *tcp.Segment, now int64) {
	f := s.pool.One()
	if f == nil {
		s.counters[txNoFrame]++
		return
	}
	s.cookiesUntil = now + 2*cookieTick
	s.counters[cookiesSent]++
	tick, index := now/cookieTick, 0
	for i, m := range cookieMSS {
		if m <= max(seg.Options.MSS, cookieMSS[0]) {
			index = i
		}
	}
	cfg := s.st.tcpConfig(k, now)
	h := wire.TCP{SrcPort: k.localPort, DstPort: k.remotePort, Ack: seg.Seq + 1, Flags: wire.SYN | wire.ACK}
	h.Seq = uint32(tick&31)<<27 | uint32(index)<<24 | s.st.cookieHash(k, tick, seg.Seq)
	h.Window = uint16(min(cfg.ReceiveMin, 65535))
	h.Options = wire.TCPOptions{MSS: uint16(min(cfg.MSS, 65535)), WindowScale: -1}
	if o := seg.Options; o.Timestamps && !cfg.NoTimestamp {
		h.Options.Timestamps, h.Options.TSEcr = true, o.TSVal
		h.Options.SACKPermitted = o.SACKPermitted && !cfg.NoSACK
		bits := uint32(noScale)
		if o.WindowScale >= 0 {
			bits = uint32(o.WindowScale)
			h.Options.WindowScale = int8(tcp.Scale(cfg.ReceiveMax))
		}
		if h.Options.SACKPermitted {
			bits |= 1 << (tsBits - 1)
		}
		stamp := tcp.Stamp(&cfg, now)
		if h.Options.TSVal = stamp&^(1<<tsBits-1) | bits; int32(h.Options.TSVal-stamp) > 0 {
			h.Options.TSVal -= 1 << tsBits // never from the future
		}
	}
	h.HeaderLen = wire.TCPLen + h.Options.Len()
	s.sendBare(f, k, &h, now)
}

// sendBare sends a segment that has no payload and belongs to no connection.
func (s *shard) sendBare(f *frame.Frame, k *flowKey, h *wire.TCP, now int64) {
	h.Put(f.Extend(h.HeaderLen))
	p := wire.Pseudo(&k.local, &k.remote, wire.ProtoTCP, f.Len())
	p.Add(f.Bytes())
	putChecksum(f.Bytes()[wire.TCPChecksumAt:], p.Checksum())
	s.counters[outSegs]++
	s.sendIP(f, &wire.IP{Src: k.local, Dst: k.remote, Proto: wire.ProtoTCP, DontFrag: true}, nil, now)
}

// redeem makes the connection that a cookie stands for, or returns nil.
func (s *shard) redeem(k *flowKey, h *wire.TCP, now int64) *TCPConn {
	if now > s.cookiesUntil {
		return nil
	}
	cookie, irs := h.Ack-1, h.Seq-1
	tick := now / cookieTick
	if uint32(tick&31) != cookie>>27 {
		if tick--; uint32(tick&31) != cookie>>27 {
			return nil
		}
	}
	if cookie&(1<<24-1) != s.st.cookieHash(k, tick, irs) {
		s.counters[cookiesFailed]++
		return nil
	}
	l := s.st.listener(k.local, k.localPort)
	if l == nil || l.full() {
		return nil
	}
	s.counters[cookiesGood]++
	l.places.Add(1)
	syn := tcp.Segment{Seq: irs, Flags: wire.SYN, Window: h.Window, Options: &wire.TCPOptions{MSS: cookieMSS[cookie>>24&7], WindowScale: -1}}
	if o := &h.Options; o.Timestamps {
		syn.Options.Timestamps, syn.Options.TSVal = true, o.TSVal
		bits := o.TSEcr & (1<<tsBits - 1)
		syn.Options.SACKPermitted = bits>>(tsBits-1) != 0
		if scale := bits & 15; scale != noScale {
			syn.Options.WindowScale = int8(scale)
		}
	}
	c := s.newConn(*k, l)
	cfg := s.st.tcpConfig(k, now)
	cfg.Challenge, cfg.ISN = s.limits.challenge(s), cookie
	c.tcp = tcp.Resume(cfg, now, &syn)
	s.counters[passiveOpens]++
	s.adopt(c)
	return c
}
