package load

import "golang.org/x/sys/unix"

// Conn is a data connection as a workload sees it. A call with no error moves
// at least one byte; Recv returns 0 and no error at the end of the stream.
type Conn interface {
	Send(b []byte) (int, unix.Errno)
	Recv(b []byte) (int, unix.Errno)
}

// Workload is what the two ends of a flow do until they are stopped or the
// other end goes away. Implementations must not allocate.
type Workload interface {
	Sender(c Conn, message []byte, s *Slot) unix.Errno
	Receiver(c Conn, message []byte, s *Slot) unix.Errno
}

// Workloads by the names that netperf gives them.
var Workloads = map[string]Workload{"tcp_stream": stream{}}

// stream is TCP_STREAM: the sender sends messages as fast as the connection
// takes them, the receiver reads into one buffer of a message's size.
type stream struct{}

func (stream) Sender(c Conn, message []byte, s *Slot) unix.Errno {
	var bytes, messages uint64
	for !s.Stopped() {
		n, errno := c.Send(message)
		if errno != 0 {
			return errno
		}
		bytes += uint64(n)
		messages++
		s.publish(bytes, messages)
	}
	return 0
}

func (stream) Receiver(c Conn, message []byte, s *Slot) unix.Errno {
	var bytes, messages uint64
	for {
		n, errno := c.Recv(message)
		if n <= 0 {
			return errno
		}
		bytes += uint64(n)
		messages++
		s.publish(bytes, messages)
	}
}
