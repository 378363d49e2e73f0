package ustack

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Errors that connections end with are those that package net would give, so that
// code that looks for ECONNRESET and the like finds it.
var (
	errReset       error = syscall.ECONNRESET
	errRefused     error = syscall.ECONNREFUSED
	errTimeout     error = syscall.ETIMEDOUT
	errAborted     error = net.ErrClosed
	errUnreachable error = syscall.EHOSTUNREACH
	errPipe        error = syscall.EPIPE
	errInUse       error = syscall.EADDRINUSE
	errNoPort      error = syscall.EADDRNOTAVAIL
	errTooLong     error = syscall.EMSGSIZE

	errDeviceGone  = errors.New("ustack: the device failed")
	errClosedStack = errors.New("ustack: the stack was closed")
)

// wrap makes an error what package net returns: io.EOF as it is, all else in an
// net.OpError.
func (c *TCPConn) wrap(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return opError(op, c.LocalAddr(), c.RemoteAddr(), err)
}

func opError(op string, local, remote net.Addr, err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		call := op
		if op == "dial" {
			call = "connect"
		}
		err = os.NewSyscallError(call, err)
	}
	network := "tcp"
	if a := local; a != nil {
		network = a.Network()
	}
	return &net.OpError{Op: op, Net: network, Source: local, Addr: remote, Err: err}
}
