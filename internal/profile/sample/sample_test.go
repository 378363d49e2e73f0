package sample

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
)

// TestParseCapturedRing reads what a ring of a 2-CPU virtual machine (Linux 6.18,
// x86-64) held after a TCP stream over loopback.
func TestParseCapturedRing(t *testing.T) {
	b, err := os.ReadFile("testdata/ring.bin")
	if err != nil {
		t.Fatal(err)
	}
	var r Records
	if err := Parse(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Samples) != 48 || r.Lost != 0 {
		t.Fatalf("%d samples, %d lost; want 48 and none", len(r.Samples), r.Lost)
	}
	var last uint64
	kernel, user := 0, 0
	for i, s := range r.Samples {
		if s.CPU != r.Samples[0].CPU || s.Time < last {
			t.Errorf("sample %d: CPU %d at %d after %d", i, s.CPU, s.Time, last)
		}
		last = s.Time
		if s.InUser != (len(s.Kernel) == 0) {
			t.Errorf("sample %d: in user mode %v with %d kernel frames", i, s.InUser, len(s.Kernel))
		}
		for _, a := range s.Kernel {
			if a>>63 == 0 {
				t.Errorf("sample %d: %x is no kernel address", i, a)
			}
		}
		// Above its leaf a user stack is no better than the program's frame pointers.
		if len(s.User) > 0 && s.User[0]>>47 != 0 {
			t.Errorf("sample %d: %x is no user address", i, s.User[0])
		}
		kernel += len(s.Kernel)
		user += len(s.User)
	}
	if kernel == 0 || user == 0 {
		t.Errorf("%d kernel and %d user frames", kernel, user)
	}
}

func record(kind uint32, misc uint16, body ...uint64) []byte {
	var b bytes.Buffer
	for _, v := range []any{kind, misc, uint16(8 + 8*len(body)), body} {
		_ = binary.Write(&b, binary.NativeEndian, v)
	}
	return b.Bytes()
}

func TestParseLossesAndForeignContexts(t *testing.T) {
	var r Records
	b := append(record(recordLost, 0, 1, 7), record(recordLostSamples, 0, 3)...)
	b = append(b, record(recordThrottle, 0, 0, 0, 0)...)
	b = append(b, record(99, 0, 1, 2, 3)...)
	guest := contextMax // any context that is neither kernel nor user
	b = append(b, record(recordSample, 1, 5|6<<32, 1000, 1, 5, contextKernel, 0xffffffff81000001, guest, 42, contextUser)...)
	if err := Parse(b, &r); err != nil {
		t.Fatal(err)
	}
	if r.Lost != 10 || r.Throttled != 1 || len(r.Samples) != 1 {
		t.Fatalf("%+v", r)
	}
	if s := r.Samples[0]; s.PID != 5 || s.TID != 6 || s.CPU != 1 || len(s.Kernel) != 1 || len(s.User) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestParseRefusesDamage(t *testing.T) {
	for _, b := range [][]byte{
		{1, 2, 3},
		record(recordSample, 0, 1, 2),
		record(recordSample, 1, 0, 0, 0, 1<<40),
		{9, 0, 0, 0, 0, 0, 255, 255, 0},
		{9, 0, 0, 0, 0, 0, 0, 0},
	} {
		if err := Parse(b, &Records{}); err == nil {
			t.Errorf("%v was accepted", b)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(record(recordSample, 1, 5, 6, 1, 3, contextKernel, 1, contextUser))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Records
		_ = Parse(b, &r)
		for _, s := range r.Samples {
			if 8*(len(s.Kernel)+len(s.User)) > len(b) {
				t.Errorf("%d frames out of %d bytes", len(s.Kernel)+len(s.User), len(b))
			}
		}
	})
}
