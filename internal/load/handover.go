package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Data connections that come to an agent's own port reach the worker whose flows they
// are for over a socket of packets: the opening that was read, and the descriptor with it.

// singlePort reports whether a server's flows take connections that are handed over.
func singlePort(s *Spec) bool {
	for i := range s.Flows {
		if s.Role == Server && s.Flows[i].SinglePort {
			return true
		}
	}
	return false
}

// handover makes the two ends of such a socket, ours and the worker's.
func handover() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket to hand connections over: %w", err)
	}
	return os.NewFile(uintptr(pair[0]), "handover"), os.NewFile(uintptr(pair[1]), "handover"), nil
}

// ErrNotAwaited is the error of a data connection that no flow awaits.
var ErrNotAwaited = errors.New("no flow awaits a data connection that opens so")

// HandOver gives a data connection to the worker whose flow it is for, by its opening of
// [DataPreambleBytes]. The worker has a descriptor of its own then; the caller keeps fd. It
// does not block, and must not run beside Close.
func (p *Pool) HandOver(fd int, opening []byte) error {
	if len(opening) != DataPreambleBytes {
		return fmt.Errorf("an opening of %d bytes, want %d", len(opening), DataPreambleBytes)
	}
	rest := opening[len(DataMagic):]
	token, id := Token(rest), int(binary.BigEndian.Uint32(rest[len(Token{}):]))
	for _, w := range p.workers {
		if w.handover == nil || !slices.ContainsFunc(w.flows, func(f FlowSpec) bool {
			return f.Token == token && id >= f.ID && id < f.ID+f.Flows()
		}) {
			continue
		}
		if err := unix.Sendmsg(int(w.handover.Fd()), opening, unix.UnixRights(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
			return fmt.Errorf("hand a data connection over: %w", err)
		}
		return nil
	}
	return ErrNotAwaited
}

// adopt takes connections over until the pool closes its end. Listeners must not change.
func (w *worker) adopt() {
	opening, rights := make([]byte, DataPreambleBytes), make([]byte, unix.CmsgSpace(4))
	for {
		n, control, _, _, err := unix.Recvmsg(handoverFD, opening, rights, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		messages, err := unix.ParseSocketControlMessage(rights[:control])
		if err != nil || len(messages) != 1 {
			continue
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if err := w.give(fd, opening[:n]); err != nil {
				fmt.Fprintln(os.Stderr, "worker:", err)
				unix.Close(fd)
			}
		}
	}
}

// give finds the listener of a connection.
func (w *worker) give(fd int, opening []byte) error {
	for i, l := range w.lis {
		if a, ok := l.(Adopter); ok && bytes.Contains(opening, w.prepare.Spec.Flows[i].Token[:]) {
			return a.Adopt(fd, opening)
		}
	}
	return ErrNotAwaited
}
