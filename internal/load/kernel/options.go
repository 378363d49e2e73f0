package kernel

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
)

// option is a socket option that a flow asks for.
type option struct {
	name          string
	level, number int
	value         []byte // as setsockopt takes it
	text          string // what the value is, where that is no number
	// least is what must be read back, where that is not the value itself.
	least int
	force int // number of the same option without its limit, for root; 0: none
	mend  string
}

func number(name string, level, opt, v int) option {
	return option{name: fmt.Sprintf("%s=%d", name, v), level: level, number: opt, value: binary.NativeEndian.AppendUint32(nil, uint32(v))}
}

func number64(name string, level, opt int, v uint64) option {
	return option{name: fmt.Sprintf("%s=%d", name, v), level: level, number: opt, value: binary.NativeEndian.AppendUint64(nil, v)}
}

func words(name string, level, opt int, v string) option {
	return option{name: fmt.Sprintf("%s=%s", name, v), level: level, number: opt, value: append([]byte(v), 0), text: v}
}

// options are those that a flow's sockets of a family need; what a new socket
// has anyway is left out, and so is what the transport does not have (NODELAY and
// congestion control outside TCP).
func options(f *load.FlowSpec, family int) []option {
	var out []option
	if family == unix.AF_VSOCK {
		if size := uint64(f.ReceiveBufferBytes); size > 0 { // a sender has no buffer of its own
			out = append(out, number64("SO_VM_SOCKETS_BUFFER_MAX_SIZE", unix.AF_VSOCK, unix.SO_VM_SOCKETS_BUFFER_MAX_SIZE, size),
				number64("SO_VM_SOCKETS_BUFFER_SIZE", unix.AF_VSOCK, unix.SO_VM_SOCKETS_BUFFER_SIZE, size))
		}
	} else {
		out = append(out, buffer("SO_SNDBUF", unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, f.SendBufferBytes, "net.core.wmem_max")...)
		out = append(out, buffer("SO_RCVBUF", unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, f.ReceiveBufferBytes, "net.core.rmem_max")...)
	}
	if overTCP(f) && f.NoDelay {
		out = append(out, number("TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	}
	if overTCP(f) && f.Congestion != "" {
		o := words("TCP_CONGESTION", unix.IPPROTO_TCP, unix.TCP_CONGESTION, f.Congestion)
		o.name, o.mend = fmt.Sprintf("congestion control %q", f.Congestion), ": see net.ipv4.tcp_available_congestion_control"
		out = append(out, o)
	}
	switch {
	case f.TOS == 0:
	case family == unix.AF_INET6:
		out = append(out, number("IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, f.TOS))
	default:
		out = append(out, number("IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, f.TOS))
	}
	if f.Priority != 0 { // after IP_TOS, which sets it too
		out = append(out, number("SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, f.Priority))
	}
	if f.Device != "" {
		out = append(out, words("SO_BINDTODEVICE", unix.SOL_SOCKET, unix.SO_BINDTODEVICE, f.Device))
	}
	if f.PacingBytesPerSecond != 0 { // 64 bits since Linux 4.20
		out = append(out, number64("SO_MAX_PACING_RATE", unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, f.PacingBytesPerSecond))
	}
	return out
}

// buffer is a size of a socket's buffer, which the kernel doubles for its own overhead
// (socket(7)).
func buffer(name string, opt, force, asked int, limit string) []option {
	if asked == 0 {
		return nil
	}
	o := number(name, unix.SOL_SOCKET, opt, asked)
	o.least, o.force, o.mend = 2*asked, force, fmt.Sprintf(": raise %s to %d", limit, asked)
	return []option{o}
}

// overTCP reports whether the options of TCP mean something to a flow.
func overTCP(f *load.FlowSpec) bool {
	return f.Transport == "" || f.Transport == load.TCP || f.Transport == load.MPTCP
}

// set sets the option, and does not look whether it took.
func (o *option) set(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(o.level), uintptr(o.number),
		uintptr(unsafe.Pointer(&o.value[0])), uintptr(len(o.value)), 0)
	return errno
}

// establish sets the option and reads it back: one that is not in force is an error.
func (o *option) establish(fd int) error {
	if o.least == 0 { // some can't be set any more once there is a connection
		if _, ok := o.inForce(fd); ok {
			return nil
		}
	}
	if errno := o.set(fd); errno != 0 {
		return fmt.Errorf("%s: %w%s", o.name, errno, o.mend)
	}
	got, ok := o.inForce(fd)
	if !ok && o.force != 0 {
		limited := o.number
		o.number = o.force
		_ = o.set(fd)
		o.number = limited
		if got, ok = o.inForce(fd); ok {
			o.number = o.force
		}
	}
	if !ok {
		return fmt.Errorf("%s is not in force: the kernel has %s%s", o.name, got, o.mend)
	}
	return nil
}

// inForce reads the option back.
func (o *option) inForce(fd int) (got string, ok bool) {
	read := o.number
	switch read { // these can't be read
	case unix.SO_SNDBUFFORCE:
		read = unix.SO_SNDBUF
	case unix.SO_RCVBUFFORCE:
		read = unix.SO_RCVBUF
	}
	switch {
	case o.text != "":
		s, err := unix.GetsockoptString(fd, o.level, read)
		return fmt.Sprintf("%q", s), err == nil && s == o.text
	case len(o.value) == 8:
		v, err := unix.GetsockoptUint64(fd, o.level, read)
		return fmt.Sprint(v), err == nil && v == binary.NativeEndian.Uint64(o.value)
	}
	v, err := unix.GetsockoptInt(fd, o.level, read)
	if o.least > 0 {
		return fmt.Sprintf("%d, want %d", v, o.least), err == nil && v >= o.least
	}
	return fmt.Sprint(v), err == nil && v == int(binary.NativeEndian.Uint32(o.value))
}

// establish sets options on a socket and reads each back.
func establish(fd int, all []option) error {
	for i := range all {
		if err := all[i].establish(fd); err != nil {
			return err
		}
	}
	return nil
}

// waitForMessages sets what one receive call waits for. It comes after the
// token, which is shorter than most messages.
func waitForMessages(fd int, f *load.FlowSpec) error {
	if f.LowWaterBytes == 0 {
		return nil
	}
	o := number("SO_RCVLOWAT", unix.SOL_SOCKET, unix.SO_RCVLOWAT, lowWater(f))
	return o.establish(fd)
}

// lowWater is at most a quarter of a receive buffer of fixed size: the sender must not run
// out of window while the receiver waits.
func lowWater(f *load.FlowSpec) int {
	if f.ReceiveBufferBytes == 0 {
		return f.LowWaterBytes
	}
	return max(1, min(f.LowWaterBytes, f.ReceiveBufferBytes/4))
}
