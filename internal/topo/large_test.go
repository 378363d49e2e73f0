package topo_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/topo/madeup"
)

// largeDir is the tree of a machine with 256 CPUs and four NICs of 64 queues, as files.
func largeDir(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	if err := madeup.Large().WriteArchive(&b); err != nil {
		t.Fatal(err)
	}
	return unpack(t, b.Bytes())
}

func readDir(t testing.TB, dir string) *topo.Machine {
	t.Helper()
	d, err := topo.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m := read(t, d)
	if err := m.WriteText(io.Discard, true); err != nil {
		t.Fatal(err)
	}
	return m
}

// A large machine is read and told in time: well under a second (see the benchmark); the
// bound is for a busy machine.
func TestLarge(t *testing.T) {
	dir := largeDir(t)
	start := time.Now()
	m := readDir(t, dir)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if len(m.CPUs) != 256 || len(m.NICs) != 4 || len(m.NICs[0].Rx()) != 64 || len(m.NICs[0].Interrupts) != 65 || len(m.Nodes) != 8 {
		t.Errorf("%d CPUs, %d NICs, %d queues, %d interrupts, %d nodes", len(m.CPUs), len(m.NICs), len(m.NICs[0].Rx()), len(m.NICs[0].Interrupts), len(m.Nodes))
	}
	if len(m.Warnings) > 0 {
		t.Errorf("warnings %+v", m.Warnings)
	}
}

func BenchmarkLarge(b *testing.B) {
	dir := largeDir(b)
	for b.Loop() {
		readDir(b, dir)
	}
	if per := b.Elapsed() / time.Duration(b.N); per > time.Second {
		b.Errorf("%v a reading: the aim is under a second", per)
	}
}
