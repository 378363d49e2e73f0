package stackserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/ustack"
)

// Forwarder carries TCP connections and UDP flows that come to the stack, for whatever address,
// on over sockets of the host.
type Forwarder struct {
	Place  *Place
	Via    string // the interface that the host's sockets leave by (SO_BINDTODEVICE); "": its routes decide
	Most   int    // connections and flows at a time
	NoUDP  bool
	Counts *Counts
	// Tell, where not nil, is told of what could not be carried on. Several goroutines may call it.
	Tell func(format string, args ...any)

	places chan struct{}
}

// Timeouts of onward flows.
const (
	dialTimeout = 30 * time.Second
	udpIdle     = time.Minute
)

// Run forwards until ctx ends.
func (f *Forwarder) Run(ctx context.Context) error {
	f.places = make(chan struct{}, f.Most)
	l, err := f.Place.ListenAny()
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var u *ustack.UDPListener
	if !f.NoUDP {
		if u, err = f.Place.ListenAnyUDP(); err != nil {
			return errors.Join(err, l.Close())
		}
		all.Go(func() { f.flows(ctx, u) })
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.AcceptTCP()
		if err != nil {
			if u != nil {
				_ = u.Close()
			}
			all.Wait()
			return ended(ctx, err)
		}
		f.Counts.Connections.Add(1)
		select {
		case f.places <- struct{}{}:
			go f.connection(ctx, c)
		default:
			f.fail("%v to %v: %d connections are open already", c.RemoteAddr(), c.LocalAddr(), f.Most)
			_ = c.Abort()
		}
	}
}

func (f *Forwarder) fail(format string, args ...any) {
	f.Counts.Failed.Add(1)
	if f.Tell != nil {
		f.Tell(format, args...)
	}
}

func (f *Forwarder) leave() {
	f.Counts.Open.Add(-1)
	<-f.places
}

// dial connects onward from the host.
func (f *Forwarder) dial(ctx context.Context, network string, to net.Addr) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	if f.Via != "" {
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			bad := raw.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), f.Via) })
			return errors.Join(err, bad)
		}
	} else if err := f.loops(to); err != nil {
		return nil, err
	}
	return d.DialContext(ctx, network, to.String())
}

// loops refuses what the host's routes would lead back into the stack's own device.
func (f *Forwarder) loops(to net.Addr) error {
	if f.Place.cfg.NetNS != "" {
		return nil // the device is elsewhere
	}
	at, err := netip.ParseAddrPort(to.String())
	if err != nil {
		return err
	}
	routes, err := netlink.RouteGet(at.Addr().AsSlice())
	if err != nil {
		return fmt.Errorf("no route: %w", err)
	}
	for _, r := range routes {
		if r.LinkIndex == f.Place.Index {
			return fmt.Errorf("this host's own route leads back into %s: name the interface to leave by (--via)", f.Place.Name)
		}
	}
	return nil
}

// connection carries one connection.
func (f *Forwarder) connection(ctx context.Context, c *ustack.TCPConn) {
	f.Counts.Open.Add(1)
	defer f.leave()
	n, err := f.dial(ctx, "tcp", c.LocalAddr())
	if err != nil {
		f.fail("%v to %v: %v", c.RemoteAddr(), c.LocalAddr(), err)
		_ = c.Abort()
		return
	}
	onward := n.(*net.TCPConn)
	stop := context.AfterFunc(ctx, func() {
		_ = c.Abort()
		_ = onward.Close()
	})
	defer stop()
	var out error
	var both sync.WaitGroup
	both.Go(func() {
		_, out = io.Copy(counting{onward, &f.Counts.In}, c)
		if out == nil {
			out = onward.CloseWrite()
		}
		if out != nil {
			_ = onward.SetLinger(0) // the client is gone: so must we be
			_ = onward.Close()
		}
	})
	_, in := io.Copy(counting{c, &f.Counts.Out}, onward)
	if in == nil {
		in = c.CloseWrite()
	}
	if in != nil {
		_ = c.Abort()
	}
	both.Wait()
	_ = c.Close()
	_ = onward.Close()
}

// flows carries datagrams.
func (f *Forwarder) flows(ctx context.Context, u *ustack.UDPListener) {
	for {
		c, err := u.Accept()
		if err != nil {
			return
		}
		f.Counts.Flows.Add(1)
		select {
		case f.places <- struct{}{}:
			go f.flow(ctx, c)
		default:
			f.fail("%v to %v (udp): %d flows are open already", c.RemoteAddr(), c.LocalAddr(), f.Most)
			_ = c.Close()
		}
	}
}

// flow carries datagrams both ways until none has come for a while.
func (f *Forwarder) flow(ctx context.Context, c ustack.UDPConn) {
	f.Counts.Open.Add(1)
	defer f.leave()
	defer c.Close()
	onward, err := f.dial(ctx, "udp", c.LocalAddr())
	if err != nil {
		f.fail("%v to %v (udp): %v", c.RemoteAddr(), c.LocalAddr(), err)
		return
	}
	defer onward.Close()
	shut := func() {
		_ = c.Close()
		_ = onward.Close()
	}
	stop := context.AfterFunc(ctx, shut)
	defer stop()
	idle := time.AfterFunc(udpIdle, shut)
	defer idle.Stop()
	var both sync.WaitGroup
	both.Go(func() { carry(c, counting{onward, &f.Counts.In}, idle) })
	carry(onward, counting{c, &f.Counts.Out}, idle)
	shut()
	both.Wait()
}

// carry carries datagrams one way. One that could not be sent is lost, as datagrams are.
func carry(from io.Reader, to io.Writer, idle *time.Timer) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		if errors.Is(err, unix.ECONNREFUSED) {
			continue // an answer to one that was sent before
		}
		if err != nil {
			return
		}
		idle.Reset(udpIdle)
		_, _ = to.Write(b[:n])
	}
}
