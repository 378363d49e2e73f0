package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// half is one direction of a stream that goes another way than send(2) and recv(2).
type half interface {
	// report adds what is to be told.
	report(i *load.SocketInfo)
	release()
}

type sender interface {
	half
	Send(b []byte) (int, unix.Errno)
}

type receiver interface {
	half
	Recv(b []byte) (int, unix.Errno)
}

// methodical is a stream with methods of its own for its directions.
type methodical struct {
	*stream
	out sender
	in  receiver
}

func (m *methodical) Send(b []byte) (int, unix.Errno) { return m.out.Send(b) }
func (m *methodical) Recv(b []byte) (int, unix.Errno) { return m.in.Recv(b) }

func (m *methodical) Info() load.SocketInfo {
	i := m.stream.Info()
	m.out.report(&i)
	m.in.report(&i)
	return i
}

func (m *methodical) Close() {
	m.out.release()
	m.in.release()
	m.stream.Close()
}

// copying is the direction of a stream that copies.
type copying struct{ *stream }

func (copying) report(*load.SocketInfo) {}
func (copying) release()                {}

// withMethods gives a stream the methods that its flow asks for.
func withMethods(s *stream, f *load.FlowSpec) (load.Transport, error) {
	m := &methodical{stream: s, out: copying{s}, in: copying{s}}
	plain := true
	switch f.SendMethod {
	case load.More:
		if !overTCP(f) {
			return nil, notSupported(fmt.Sprintf("send_method %q over %s", load.More, f.Transport), errors.New("only TCP gathers messages (MSG_MORE)"), "use tcp or mptcp")
		}
		s.more = unix.MSG_MORE
	case load.Sendfile:
		out, err := newSendfile(s, f)
		if err != nil {
			return nil, err
		}
		m.out, plain = out, false
	case load.ZeroCopy:
		out, err := newZeroCopySender(s)
		if err != nil {
			return nil, err
		}
		m.out, plain = out, false
	}
	in, err := receiveMethod(s, f)
	switch {
	case err != nil:
		m.out.release()
		return nil, err
	case in != nil:
		m.in, plain = in, false
	}
	if plain {
		return s, nil
	}
	return m, nil
}

// receiveMethod is nil where the flow copies.
func receiveMethod(s *stream, f *load.FlowSpec) (receiver, error) {
	switch f.ReceiveMethod {
	case load.Truncate:
		if !overTCP(f) {
			return nil, notSupported(fmt.Sprintf("receive_method %q over %s", load.Truncate, f.Transport), errors.New("only TCP drops bytes unread (MSG_TRUNC)"), "use tcp or mptcp")
		}
		return truncating{s}, nil
	case load.ZeroCopy:
		return newMapping(s, f)
	}
	return nil, nil
}

// truncating has the kernel drop what was received (MSG_TRUNC, tcp(7)).
type truncating struct{ *stream }

func (t truncating) report(*load.SocketInfo) {}
func (t truncating) release()                {}

func (t truncating) Recv(b []byte) (int, unix.Errno) {
	for {
		if n, errno := sysx.Recv(t.fd, b, t.flags|unix.MSG_TRUNC); errno != unix.EINTR {
			return n, errno
		}
	}
}

// notSupported says what this kernel, or the transport, does not do.
func notSupported(what string, reason error, mend string) error {
	return &host.NotSupportedError{What: what, Reason: reason.Error(), Mend: mend}
}

// missing is the error of a socket that could not be made.
func missing(f *load.FlowSpec, err error) error {
	switch err {
	case unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.ENOPROTOOPT:
		mend := "use a kernel that has it"
		if f.Transport == load.MPTCP {
			mend = "set net.mptcp.enabled to 1, or use a kernel with CONFIG_MPTCP"
		}
		return notSupported(fmt.Sprintf("transport %q", f.Transport), err, mend)
	}
	return fmt.Errorf("make a socket: %w", err)
}
