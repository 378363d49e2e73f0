package stackserver

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/stackmeter/stackmeter/ustack"
)

// Counts are what a server has done.
type Counts struct {
	Connections atomic.Int64 // accepted
	Open        atomic.Int64
	Failed      atomic.Int64 // that could not be connected onward
	Flows       atomic.Int64 // of UDP
	In, Out     atomic.Int64 // bytes of payload from and to clients
	Requests    atomic.Int64 // of HTTP
}

// Echo sends back what comes over TCP and UDP at an address such as ":7", until ctx ends.
func Echo(ctx context.Context, p *Place, address string, n *Counts) error {
	l, err := p.Listen("tcp", address)
	if err != nil {
		return err
	}
	u, err := p.ListenPacket("udp", address)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	var all sync.WaitGroup
	all.Go(func() { echoDatagrams(u.(*ustack.PacketConn), n) })
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		_ = u.Close()
	})
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			_ = u.Close()
			all.Wait()
			return ended(ctx, err)
		}
		n.Connections.Add(1)
		n.Open.Add(1)
		go func() { // it ends with its client, or with the stack
			defer n.Open.Add(-1)
			defer c.Close()
			_, _ = io.Copy(counting{c, &n.Out}, countingReader{c, &n.In})
		}()
	}
}

// ended is the error of a server that was asked to end: none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func echoDatagrams(p *ustack.PacketConn, n *Counts) {
	b := make([]byte, 1<<16)
	for {
		k, from, err := p.ReadFromAddrPort(b)
		if err != nil {
			return
		}
		n.Flows.Add(1)
		n.In.Add(int64(k))
		if k, err = p.WriteToAddrPort(b[:k], from); err == nil {
			n.Out.Add(int64(k))
		}
	}
}

// counting counts what is written.
type counting struct {
	io.Writer
	n *atomic.Int64
}

func (c counting) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// countingReader counts what is read.
type countingReader struct {
	net.Conn
	n *atomic.Int64
}

func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// WriteTo passes the stack's frames on as they are.
func (c countingReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(counting{w, c.n}, c.Conn)
}
