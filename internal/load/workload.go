package load

import "golang.org/x/sys/unix"

// Workload is what the two ends of a flow do until they are stopped or the other
// end goes away. A call goes on until the flow must wait and says for what; EAGAIN says that
// the transport made it wait. On transports that block, a call need not return
// before the flow ends. Implementations must not allocate.
type Workload interface {
	Client(f *Flow) (Wait, unix.Errno)
	Server(f *Flow) (Wait, unix.Errno)
	// First is the end to stop first: the one that, when it ends, lets the other end
	// by itself.
	First() Role
}

// Workloads by name. What a flow's transport is called goes before it in netperf's
// names: TCP_STREAM, UDP_RR.
var Workloads = map[string]Workload{
	"stream": stream{},
	"maerts": maerts{},
	"bidir":  bidir{},
	"rr":     rr{},
	"crr":    crr{},
}

// stream: the client sends messages as fast as the connection takes them, the server
// reads into one buffer of a message's size.
type stream struct{}

func (stream) Client(f *Flow) (Wait, unix.Errno) { return f.send() }
func (stream) Server(f *Flow) (Wait, unix.Errno) { return f.receive() }
func (stream) First() Role                       { return Client }

// maerts is stream the other way: the client receives.
type maerts struct{}

func (maerts) Client(f *Flow) (Wait, unix.Errno) { return f.receive() }
func (maerts) Server(f *Flow) (Wait, unix.Errno) { return f.send() }
func (maerts) First() Role                       { return Server }

// bidir is stream both ways on one connection. It is always polled: a thread that
// blocks in one direction would hold up the other.
type bidir struct{}

func (bidir) Client(f *Flow) (Wait, unix.Errno) { return bothWays(f) }
func (bidir) Server(f *Flow) (Wait, unix.Errno) { return bothWays(f) }
func (bidir) First() Role                       { return Client }

func bothWays(f *Flow) (Wait, unix.Errno) {
	out, errno := f.send()
	if errno != 0 && errno != unix.EAGAIN || out == 0 {
		return 0, errno
	}
	in, errno := f.receive()
	if errno != 0 && errno != unix.EAGAIN || in == 0 {
		return 0, errno
	}
	return in | out, 0
}
