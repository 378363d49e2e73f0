package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// FuzzFrame reads frames from bytes of anybody's: testdata holds what it begins with.
func FuzzFrame(f *testing.F) {
	var good bytes.Buffer
	if err := writeFrame(&good, request{Method: "hello", Params: []byte(`{"measures":true}`)}, maxRequest); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var r request
		in := bytes.NewReader(data)
		err := readFrame(in, &r, maxRequest)
		if err != nil {
			if !errors.Is(err, ErrFrame) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("error of no known kind: %v", err)
			}
			if errors.Is(err, io.EOF) && len(data) != 0 {
				t.Fatalf("%d bytes taken for the end between frames", len(data))
			}
			return
		}
		if used, want := len(data)-in.Len(), 4+int(binary.BigEndian.Uint32(data)); used != want {
			t.Fatalf("read %d bytes, the frame has %d", used, want)
		}
		var out bytes.Buffer
		var again request
		if err := errors.Join(writeFrame(&out, r, 8*maxRequest), readFrame(&out, &again, 8*maxRequest)); err != nil {
			t.Fatalf("what was read can't be written and read again: %v", err)
		}
		if again.Method != r.Method {
			t.Fatalf("method %q became %q", r.Method, again.Method)
		}
	})
}

func TestFramesAreBounded(t *testing.T) {
	long := request{Method: strings.Repeat("x", 100)}
	if err := writeFrame(io.Discard, long, 99); !errors.Is(err, ErrFrame) {
		t.Errorf("wrote a frame over the limit: %v", err)
	}
	var b bytes.Buffer
	if err := writeFrame(&b, long, 1000); err != nil {
		t.Fatal(err)
	}
	var r request
	if err := readFrame(bytes.NewReader(b.Bytes()), &r, 99); !errors.Is(err, ErrFrame) {
		t.Errorf("read a frame over the limit: %v", err)
	}
	if err := readFrame(bytes.NewReader(b.Bytes()[:50]), &r, 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read half a frame: %v", err)
	}
	// A length within the limit that never comes must not cost its memory.
	allocs := testing.Benchmark(func(tb *testing.B) {
		for range tb.N {
			_ = readFrame(strings.NewReader("\x00\x0f\xff\xff"), &r, maxRequest)
		}
	})
	if n := allocs.AllocedBytesPerOp(); n > 4096 {
		t.Errorf("a false length of 1 MiB allocates %d bytes", n)
	}
}
