package vm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// portName is the virtio-serial port over which the guest and its host speak.
const portName = "org.stackmeter.0"

// kind is what a frame carries. A frame is its kind (a byte), the length of what follows (four
// bytes, big-endian) and that.
type kind byte

const (
	kindReady   kind = 'R' // guest: JSON of ready
	kindCommand kind = 'C' // host: JSON of order
	kindSignal  kind = 'S' // host: interrupt the command
	kindOut     kind = '1' // guest: of the command's standard output
	kindErr     kind = '2' // guest: of the command's standard error
	kindPart    kind = 'P' // guest: JSON of part, of a file of results that grows
	kindTar     kind = 'T' // guest: of the tar of the directory of results
	kindEnd     kind = 'X' // guest: JSON of end; the last one
)

// maxFrame bounds a frame.
const maxFrame = 16 << 20

// ready says that the guest's init is at work.
type ready struct {
	Kernel string `json:"kernel"` // release
}

// order is what the guest is to do.
type order struct {
	Args  []string          `json:"args"`
	Env   []string          `json:"env"`
	Files map[string][]byte `json:"files"`
	NICs  map[string]string `json:"nics"` // name by hardware address
}

// end is how that went.
type end struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"` // the guest itself failed
}

// frames writes frames, from any goroutine.
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frames) send(k kind, payload []byte) error {
	head := binary.BigEndian.AppendUint32([]byte{byte(k)}, uint32(len(payload)))
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.w.Write(append(head, payload...)); err != nil {
		return err
	}
	return nil
}

func (f *frames) sendJSON(k kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.send(k, b)
}

// stream is a writer whose writes are frames of a kind.
type stream struct {
	to   *frames
	kind kind
}

func (s stream) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 64<<10)
		if err := s.to.send(s.kind, rest[:n]); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// readFrame reads one frame.
func readFrame(r io.Reader) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes, at most %d are expected", n, maxFrame)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, err
	}
	return kind(head[0]), payload, nil
}
