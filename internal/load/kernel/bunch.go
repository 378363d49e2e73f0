package kernel

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

// bunch is the arguments of sendmmsg(2) and recvmmsg(2).
type bunch struct {
	messages []message
	vectors  []unix.Iovec
	control  [][controlBytes]byte // of each, with GRO
	room     int                  // of each message
	got      int                  // messages of the last call
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// controlBytes is room for UDP_GRO's int, and what else may come.
const controlBytes = 64

func newBunch(n, room int, gro bool) *bunch {
	u := &bunch{messages: make([]message, n), vectors: make([]unix.Iovec, n), room: room}
	if gro {
		u.control = make([][controlBytes]byte, n)
	}
	for i := range u.messages {
		u.vectors[i].SetLen(room)
		u.messages[i].header.Iov = &u.vectors[i]
		u.messages[i].header.SetIovlen(1)
	}
	return u
}

// aim points the vectors at b, as far as it goes, and returns how many messages that is.
func (u *bunch) aim(b []byte) int {
	n := min(len(u.messages), len(b)/u.room)
	for i := range n {
		u.vectors[i].Base = &b[i*u.room]
	}
	return n
}

// send sends b, which is whole messages, and returns how many bytes of it went.
func (u *bunch) send(fd int, b []byte, flags int) (int, unix.Errno) {
	n, errno := sysx.Raw(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&u.messages[0])), uintptr(u.aim(b)), uintptr(flags), 0, 0)
	runtime.KeepAlive(u)
	runtime.KeepAlive(b)
	return n * u.room, errno
}

// receive receives datagrams into b, as many as have come, and returns their bytes; it waits for the first.
func (u *bunch) receive(fd int, b []byte, flags int) (int, unix.Errno) {
	n := u.aim(b)
	for i := range u.control {
		h := &u.messages[i].header
		h.Control = &u.control[i][0]
		h.SetControllen(controlBytes)
	}
	got, errno := sysx.Raw(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&u.messages[0])), uintptr(n), uintptr(flags|unix.MSG_WAITFORONE), 0, 0)
	runtime.KeepAlive(u)
	runtime.KeepAlive(b)
	u.got = got
	bytes := 0
	for i := range got {
		bytes += int(u.messages[i].length)
	}
	return bytes, errno
}

// each calls f with what each message of the last receive put into b, and the size of
// its datagrams, 0: it is one.
func (u *bunch) each(b []byte, f func(part []byte, segment int)) {
	for i := range u.got {
		segment := 0
		if u.control != nil {
			segment = groSegment(u.control[i][:min(int(u.messages[i].header.Controllen), controlBytes)])
		}
		at := i * u.room
		f(b[at:at+int(u.messages[i].length)], segment)
	}
}

// groSegment is the size of the datagrams of a message that UDP_GRO put together, 0 if
// the kernel says none.
func groSegment(control []byte) int {
	for len(control) >= unix.SizeofCmsghdr {
		length := binary.NativeEndian.Uint64(control)
		if length < unix.SizeofCmsghdr || length > uint64(len(control)) {
			return 0
		}
		data := control[unix.SizeofCmsghdr:length]
		level, kind := int32(binary.NativeEndian.Uint32(control[8:])), int32(binary.NativeEndian.Uint32(control[12:]))
		if level == unix.IPPROTO_UDP && kind == unix.UDP_GRO && len(data) >= 4 {
			return max(0, int(int32(binary.NativeEndian.Uint32(data))))
		}
		control = control[min(unix.CmsgSpace(len(data)), len(control)):]
	}
	return 0
}
