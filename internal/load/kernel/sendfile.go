package kernel

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// fileSender sends a message from a file in memory (sendfile(2)): the pages themselves go
// into the socket, nothing is copied on this side.
type fileSender struct {
	*stream
	file    int
	message int
	offset  *int64
}

func newSendfile(s *stream, f *load.FlowSpec) (*fileSender, error) {
	file, err := unix.MemfdCreate("stackmeter-message", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create for the message: %w", err)
	}
	b := make([]byte, f.MessageBytes)
	for i := range b {
		b[i] = byte(i)
	}
	for at := 0; at < len(b); {
		n, err := unix.Write(file, b[at:])
		if err != nil {
			unix.Close(file)
			return nil, fmt.Errorf("write the message to memory: %w", err)
		}
		at += n
	}
	return &fileSender{stream: s, file: file, message: len(b), offset: new(int64)}, nil
}

// Send takes b for the rest of a message.
func (s *fileSender) Send(b []byte) (int, unix.Errno) {
	for {
		*s.offset = int64(s.message - len(b))
		n, errno := sysx.Raw(unix.SYS_SENDFILE, uintptr(s.fd), uintptr(s.file), uintptr(unsafe.Pointer(s.offset)), uintptr(len(b)), 0, 0)
		runtime.KeepAlive(s)
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

func (s *fileSender) report(*load.SocketInfo) {}
func (s *fileSender) release()                { unix.Close(s.file) }
