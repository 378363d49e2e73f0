package ustack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"

	"github.com/stackmeter/stackmeter/ustack/internal/tcp"
	"github.com/stackmeter/stackmeter/ustack/internal/wire"
)

// Ports for flows that are opened from here (Linux: ip_local_port_range).
const (
	portFirst = 32768
	portLast  = 60999
)

// Dial connects to a TCP address, such as "192.0.2.2:80". The network is tcp, tcp4 or
// tcp6; host names are not looked up. It fits http.Transport.DialContext. The
// connection is a *TCPConn.
func (st *Stack) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := st.dialTCP(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (st *Stack) dialTCP(ctx context.Context, network, address string) (*TCPConn, error) {
	fail := func(local, remote net.Addr, err error) (*TCPConn, error) {
		return nil, opError("dial", local, remote, err)
	}
	to, err := st.parseRemote("tcp", network, address)
	if err != nil {
		return fail(nil, nil, err)
	}
	dst := wire.AddrOf(to.Addr())
	remote := tcpAddr(dst, to.Port())
	src, _, err := st.source(dst)
	if err != nil {
		return fail(nil, remote, err)
	}
	if err := ctx.Err(); err != nil {
		return fail(nil, remote, err)
	}
	s := st.shards[int(st.turn.Add(1))%len(st.shards)]
	var c *TCPConn
	outcome := make(chan error, 1)
	s.call(func(now int64) { c, err = s.openActive(src, dst, to.Port(), outcome, now) })
	if err != nil {
		return fail(nil, remote, err)
	}
	select {
	case err = <-outcome:
	case <-ctx.Done():
		_ = c.Abort()
		err = ctx.Err()
		select {
		case o := <-outcome:
			if o == nil {
				return fail(c.LocalAddr(), remote, err)
			}
		default:
		}
	}
	if err != nil {
		return fail(c.LocalAddr(), remote, err)
	}
	return c, nil
}

// parseRemote reads an address to connect to. As in package net, no host and the unspecified
// address stand for the stack itself.
func (st *Stack) parseRemote(proto, network, address string) (to netip.AddrPort, err error) {
	host, port, err := splitAddress(proto, network, address)
	if err != nil {
		return to, err
	}
	a := netip.IPv4Unspecified()
	if host != "" {
		if a, err = netip.ParseAddr(host); err != nil {
			return to, fmt.Errorf("%w: the stack takes addresses, not names", err)
		}
		a = a.Unmap()
	} else if network == proto+"6" {
		a = netip.IPv6Unspecified()
	}
	if a.IsUnspecified() {
		for _, p := range st.cfg.Addresses {
			if p.Addr().Is4() == a.Is4() {
				a = p.Addr()
				break
			}
		}
	}
	if network == proto+"4" && !a.Is4() || network == proto+"6" && a.Is4() {
		return to, &net.AddrError{Err: "no suitable address for " + network, Addr: host}
	}
	return netip.AddrPortFrom(a, port), nil
}

// openActive begins a connection.
func (s *shard) openActive(src, dst wire.Addr, port uint16, outcome chan error, now int64) (*TCPConn, error) {
	s.st.mu.Lock()
	closed := s.st.closed
	s.st.mu.Unlock()
	if closed || s.stopping.Load() {
		return nil, errClosedStack
	}
	if s.failed != nil {
		return nil, s.failed
	}
	k := flowKey{local: src, remote: dst, remotePort: port}
	if !s.pickPort(&k) {
		return nil, errNoPort
	}
	c := s.newConn(k, nil)
	c.dialed = outcome
	cfg := s.st.tcpConfig(&k, now)
	cfg.Challenge = s.limits.challenge(s)
	c.tcp = tcp.Connect(cfg, now)
	s.counters[activeOpens]++
	s.adopt(c)
	s.finish(c, now)
	return c, nil
}

// pickPort finds a local port for k that makes it unique, beginning anywhere
// (RFC 6056). The oldest flows in TIME-WAIT give way if all are taken.
func (s *shard) pickPort(k *flowKey) bool {
	const n = portLast - portFirst + 1
	at := rand.IntN(n)
	var waiting *TCPConn
	for i := range n {
		k.localPort = uint16(portFirst + (at+i)%n)
		c := s.flows[*k]
		if c == nil {
			if len(s.st.shards) > 1 {
				if _, taken := s.st.flows.Load(*k); taken {
					continue
				}
			}
			return true
		}
		if waiting == nil && c.tcp.State() == tcp.TimeWait {
			waiting = c
		}
	}
	if waiting == nil {
		return false
	}
	k.localPort = waiting.key.localPort
	s.end(waiting, nil)
	return true
}
