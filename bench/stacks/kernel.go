package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// kernelNet is the kernel's TCP through package net.
type kernelNet struct{}

func control(_, _ string, c syscall.RawConn) (err error) {
	return errors.Join(c.Control(func(fd uintptr) { err = cubic(int(fd)) }), err)
}

func (kernelNet) listen() (net.Listener, error) {
	lc := net.ListenConfig{Control: control}
	return lc.Listen(context.Background(), "tcp4", fmt.Sprintf("%s:%d", stackAddr, port))
}

func (kernelNet) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Control: control}
	return d.DialContext(ctx, "tcp4", fmt.Sprintf("%s:%d", peerAddr, port))
}

func (kernelNet) close() error { return nil }
