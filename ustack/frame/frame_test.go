package frame

import (
	"bytes"
	"sync"
	"testing"
)

func TestFrameGrowsAndShrinksInPlace(t *testing.T) {
	p, err := NewPool(Config{FrameSize: 64, Limit: 4, Headroom: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := p.One()
	copy(f.Extend(4), "data")
	copy(f.Prepend(3), "hdr")
	if got := f.Bytes(); !bytes.Equal(got, []byte("hdrdata")) {
		t.Fatalf("packet %q", got)
	}
	f.TrimFront(5)
	f.Truncate(1)
	if got := f.Bytes(); !bytes.Equal(got, []byte("t")) || f.Headroom() != 18 || len(f.Tail()) != 64-19 {
		t.Fatalf("packet %q, headroom %d, tail %d", got, f.Headroom(), len(f.Tail()))
	}
	p.Put(f)
	if again := p.One(); again != f || again.Len() != 0 || again.Headroom() != 16 {
		t.Fatalf("the frame last returned should be the first out again, empty: %+v", again)
	}
}

func TestPoolKeepsItsLimitAndItsFrames(t *testing.T) {
	for _, how := range []Buffers{Recycled, Bulk, Single} {
		p, err := NewPool(Config{FrameSize: 128, Limit: 10, Headroom: 8, Buffers: how})
		if err != nil {
			t.Fatal(err)
		}
		var got [16]*Frame
		if n := p.Get(got[:]); n != 10 {
			t.Fatalf("%v: got %d frames of 10", how, n)
		}
		for i, f := range got[:10] {
			b := f.Extend(len(f.Tail()))
			for j := range b {
				b[j] = byte(i)
			}
		}
		for i, f := range got[:10] {
			if !bytes.Equal(f.Bytes(), bytes.Repeat([]byte{byte(i)}, 120)) {
				t.Fatalf("%v: frame %d shares memory with another", how, i)
			}
		}
		for _, f := range got[:5] {
			p.Put(f)
		}
		var l List
		for _, f := range got[5:10] {
			l.Push(f)
		}
		Free(l.Head)
		if p.Out() != 0 {
			t.Fatalf("%v: %d frames out after all came back", how, p.Out())
		}
		if n := p.Get(got[:]); n != 10 {
			t.Fatalf("%v: got %d frames of 10 the second time", how, n)
		}
		p.Close()
	}
}

func TestPoolOutlivesItsOwnerWhileFramesAreOut(t *testing.T) {
	p, err := NewPool(Config{FrameSize: 4096, Limit: 8})
	if err != nil {
		t.Fatal(err)
	}
	var got [8]*Frame
	p.Get(got[:])
	p.Close()
	for _, f := range got {
		if p.region == nil {
			t.Fatal("memory gone with frames out")
		}
		copy(f.Extend(4096), "still here")
		Free(f)
	}
	if p.region != nil {
		t.Fatal("memory kept with no frame out")
	}
}

func TestFreeFromManyGoroutines(t *testing.T) {
	p, err := NewPool(Config{FrameSize: 64, Limit: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	work := make(chan *Frame, 256)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for f := range work {
				Free(f)
			}
		})
	}
	for i := 0; i < 20000; {
		if f := p.One(); f != nil {
			work <- f
			i++
		}
	}
	close(work)
	all.Wait()
	if p.Out() != 0 {
		t.Fatalf("%d frames lost", p.Out())
	}
}
