package bpf

import (
	"net"
	"testing"
	"time"
)

// TestCostPerEvent holds the cost that package cpu warns by against the kernel's
// count, on loopback traffic: switches, softirqs and timer interrupts.
func TestCostPerEvent(t *testing.T) {
	tr := open(t)
	counting, err := tr.CountCost()
	if err != nil {
		t.Fatal(err)
	}
	defer counting.Close()
	pingPong(t, 300*time.Millisecond)
	cost, err := tr.Cost()
	if err != nil {
		t.Fatal(err)
	}
	var runs uint64
	var ns int64
	for name, c := range cost {
		if c.Runs > 0 {
			t.Logf("%-17s %7d runs, %4d ns each", name, c.Runs, c.Nanoseconds/int64(c.Runs))
		}
		runs += c.Runs
		ns += c.Nanoseconds
	}
	if runs < 1000 {
		t.Fatalf("%d runs only", runs)
	}
	mean := ns / int64(runs)
	t.Logf("mean %d ns over %d events", mean, runs)
	if mean > 1000 {
		t.Errorf("an event costs %d ns, want under 1000", mean)
	}
}

// pingPong exchanges datagrams on loopback between two blocked readers.
func pingPong(t *testing.T, d time.Duration) {
	a, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := net.DialUDP("udp4", nil, a.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			n, from, err := a.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if _, err := a.WriteToUDPAddrPort(buf[:n], from); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64)
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := b.Write(buf); err != nil {
			t.Fatal(err)
		}
		_ = b.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := b.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	<-done
}

// BenchmarkDatagramOverLoopback shows what the programs cost a sender: one softirq
// a datagram.
func BenchmarkDatagramOverLoopback(b *testing.B) {
	for _, name := range []string{"bare", "traced"} {
		b.Run(name, func(b *testing.B) {
			if name == "traced" {
				open(b)
			}
			sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				b.Fatal(err)
			}
			defer sink.Close()
			source, err := net.DialUDP("udp4", nil, sink.LocalAddr().(*net.UDPAddr))
			if err != nil {
				b.Fatal(err)
			}
			defer source.Close()
			message := make([]byte, 64)
			for b.Loop() {
				if _, err := source.Write(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
