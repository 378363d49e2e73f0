package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/stackmeter/stackmeter/ustack"
	"github.com/stackmeter/stackmeter/ustack/device/pipe"
)

// twoShards runs streams between two stacks of one process over the pipe device: with
// one queue, so one shard each, on one CPU, or with two on two. The rate is what
// scales; one shard each on two CPUs would already use both.
func (b *bench) twoShards(ctx context.Context, c contest, e entry, round int) (s sample, err error) {
	on, procs := -1, "GOMAXPROCS=2"
	if e.Device == "pipe1" {
		on, procs = 1, "GOMAXPROCS=1"
	}
	p, err := start(ctx, "shards", on, procs)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.tell(order{entry: e, Kind: c.kind, Flows: c.flows, MTU: c.mtu, Profile: b.profileOf(c, e, round)}); err != nil {
		return s, err
	}
	if err := pause(ctx, b.ramp); err != nil {
		return s, err
	}
	return b.watch(ctx, c, p, p)
}

// shardsMain is the process of twoShards.
func shardsMain() int {
	return obey(func(o order) (func() counts, func(), error) {
		l := &load{order: o}
		if err := l.overPipe(runtime.GOMAXPROCS(0)); err != nil {
			return nil, nil, err
		}
		done, err := profile(o.Profile)
		return l.counts, done, err
	})
}

// overPipe starts streams from one stack to another.
func (l *load) overPipe(queues int) error {
	a, b, err := pipe.New(pipe.Config{Queues: queues, MTU: l.MTU})
	if err != nil {
		return err
	}
	var ends [2]ustackNet
	for i, d := range []ustack.Device{a, b} {
		addr := []string{peerAddr, stackAddr}[i]
		st, err := ustack.New(ustack.Config{Device: d, Addresses: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(addr), prefixLen)}})
		if err != nil {
			return err
		}
		ends[i] = ustackNet{st}
	}
	listener, err := ends[1].listen()
	if err != nil {
		return err
	}
	for range l.Flows {
		c, err := ends[0].Dial(context.Background(), "tcp", listener.Addr().String())
		if err != nil {
			return fmt.Errorf("connect over the pipe: %w", err)
		}
		to, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("accept over the pipe: %w", err)
		}
		go l.read(to)
		go func(c net.Conn) { // not counted: the reader's bytes are
			buf := make([]byte, chunk)
			for {
				if _, err := c.Write(buf); err != nil {
					l.fail(fmt.Errorf("write: %w", err))
					return
				}
			}
		}(c)
	}
	return nil
}
