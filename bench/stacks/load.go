package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// network is a stack under test.
type network interface {
	listen() (net.Listener, error)
	dial(ctx context.Context) (net.Conn, error)
	close() error
}

// makers make the stacks.
var makers = map[string]func(o order) (network, error){
	"kernel": func(order) (network, error) { return kernelNet{}, nil },
	"ustack": newUstack,
	"gvisor": newGvisor,
}

// stackMain is the end that the stack under test is at.
func stackMain() int {
	return obey(func(o order) (func() counts, func(), error) {
		n, err := makers[o.Stack](o)
		if err != nil {
			return nil, nil, err
		}
		l := &load{order: o, net: n}
		if err := l.begin(); err != nil {
			return nil, nil, err
		}
		done, err := profile(o.Profile)
		return l.counts, done, err
	})
}

// profile begins a CPU profile, unless path is empty.
func profile(path string) (done func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// load drives a stack as a program of package net would.
type load struct {
	order
	tally
	net network
}

func (l *load) counts() counts {
	c := l.tally.counts()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.Allocations = m.Mallocs
	return c
}

// begin starts the work; where the stack connects, all connections are there when it
// returns.
func (l *load) begin() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch l.Kind {
	case send:
		for range l.Flows {
			c, err := l.net.dial(ctx)
			if err != nil {
				return fmt.Errorf("connect to the peer: %w", err)
			}
			go l.write(c)
		}
		return nil
	case crr:
		for range l.Flows {
			go l.connections()
		}
		return nil
	}
	listener, err := l.net.listen()
	if err != nil {
		return err
	}
	serve := map[kind]func(net.Conn){receive: l.read, rr: l.echo, crrOf: l.echo}[l.Kind]
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				l.fail(fmt.Errorf("accept: %w", err))
				return
			}
			go serve(c)
		}
	}()
	return nil
}

func (l *load) write(c net.Conn) {
	buf := make([]byte, chunk)
	for {
		n, err := c.Write(buf)
		l.bytes.Add(uint64(n))
		if err != nil {
			l.fail(fmt.Errorf("write: %w", err))
			return
		}
	}
}

func (l *load) read(c net.Conn) {
	buf := make([]byte, chunk)
	for {
		n, err := c.Read(buf)
		l.bytes.Add(uint64(n))
		if err != nil {
			l.fail(fmt.Errorf("read: %w", err))
			return
		}
	}
}

func (l *load) echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 1)
	for {
		if _, err := c.Read(buf); err != nil {
			if !errors.Is(err, io.EOF) {
				l.fail(fmt.Errorf("read: %w", err))
			}
			return
		}
		if _, err := c.Write(buf); err != nil {
			l.fail(fmt.Errorf("write: %w", err))
			return
		}
	}
}

func (l *load) connections() {
	buf := make([]byte, 1)
	for {
		c, err := l.net.dial(context.Background())
		if err == nil {
			_, err = c.Write(buf)
		}
		if err == nil {
			_, err = c.Read(buf)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			l.fail(fmt.Errorf("a client: %w", err))
			return
		}
		l.transactions.Add(1)
	}
}
