package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Frames are a length of four bytes, big-endian, and that many bytes of JSON.
const (
	maxRequest  = 1 << 20  // bytes; a request holds at most load.MaxFlows flow specs
	maxResponse = 64 << 20 // bytes; a response can hold the samples of a long window
)

// request is a call from the controller to an agent.
type request struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// response answers a request: any number with Progress, then one with Error or Result. A
// request is made when the one before is answered.
type response struct {
	Progress json.RawMessage `json:"progress,omitempty"`
	Error    *Error          `json:"error,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
}

// Error is a fault that an agent reports.
type Error struct {
	Code string `json:"code"` // "bad-request", "not-supported", "not-in-force", "busy", "failed"
	Text string `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// ErrFrame is wrapped by every error about the form of a frame.
var ErrFrame = errors.New("control message")

func writeFrame(w io.Writer, v any, limit int) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if len(body) > limit {
		return fmt.Errorf("%w of %d bytes: the limit is %d", ErrFrame, len(body), limit)
	}
	frame := make([]byte, 4+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	copy(frame[4:], body)
	_, err = w.Write(frame)
	return err
}

// readFrame reads one frame into v. It
// allocates only as bytes arrive, so a false length costs nothing. The error is io.EOF
// where the stream ends between frames.
func readFrame(r io.Reader, v any, limit int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if int64(n) > int64(limit) {
		return fmt.Errorf("%w of %d bytes: the limit is %d", ErrFrame, n, limit)
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return err
	}
	if len(body) != int(n) {
		return io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return nil
}
