package cycles

import (
	"testing"
	"time"
)

func TestClockAgreesWithTheSystem(t *testing.T) {
	c, err := Calibrate(50 * time.Millisecond)
	if err != nil {
		t.Skipf("machine too busy or counter unsteady: %v", err)
	}
	t0, c0 := edge()
	time.Sleep(20 * time.Millisecond)
	t1, c1 := edge()
	got, want := c.Seconds(float64(c1-c0)), t1.Sub(t0).Seconds()
	if got < 0.99*want || got > 1.01*want {
		t.Errorf("counter says %.6f s, the system %.6f s", got, want)
	}
	if c.Overhead > 2000 {
		t.Errorf("an empty pair of stamps takes %d ticks", c.Overhead)
	}
}

func TestCoreRatioIsPlausible(t *testing.T) {
	if !hasChain {
		if CoreRatio() != 0 {
			t.Error("a ratio without a way to measure it")
		}
		return
	}
	if r := CoreRatio(); r < 0.1 || r > 5 {
		t.Errorf("core runs at %.2f times the counter's rate", r)
	}
}

func TestFlushEmptiesTheCache(t *testing.T) {
	buf := make([]byte, 64<<10)
	if !Flush(buf) {
		t.Skip("no way to flush caches on this architecture")
	}
	walk := func() uint64 {
		t0 := Start()
		var sum byte
		for i := 0; i < len(buf); i += 4096 + 64 {
			sum += buf[i]
		}
		buf[0] = sum
		return Stop() - t0
	}
	cold, warm := ^uint64(0), ^uint64(0)
	for range 50 {
		Flush(buf)
		cold = min(cold, walk())
		warm = min(warm, walk())
	}
	if cold < 2*warm {
		t.Errorf("walk takes %d ticks after a flush, %d without", cold, warm)
	}
}
