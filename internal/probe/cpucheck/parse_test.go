package cpucheck

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseCPUAcct(t *testing.T) {
	const captured = "53106318273 54482909172 \n" // Linux 6.18, 2 CPUs
	if ns, err := parseCPUAcct(strings.NewReader(captured), 1); err != nil || ns != 54482909172 {
		t.Errorf("%d, %v", ns, err)
	}
	for _, in := range []string{"", "1", "1 x", "1 -2"} {
		if ns, err := parseCPUAcct(strings.NewReader(in), 1); err == nil {
			t.Errorf("%q: %d, want an error", in, ns)
		}
	}
}

func FuzzParseCPUAcct(f *testing.F) {
	f.Add([]byte("53106318273 54482909172 \n"), 1)
	f.Fuzz(func(t *testing.T, b []byte, cpu int) {
		if ns, err := parseCPUAcct(bytes.NewReader(b), cpu); err == nil && ns < 0 {
			t.Fatalf("%q: %d", b, ns)
		}
	})
}

func TestDistance(t *testing.T) {
	for _, c := range []struct{ x, own, beyond, want float64 }{
		{0.5, 0.5, 0.25, 0},
		{0.625, 0.5, 0.25, 0},
		{0.25, 0.5, 0.25, -0.25},
		{1, 0.5, 0.25, 0.25},
		{0.25, 0.5, -0.25, 0},
		{0.75, 0.5, -0.25, 0.25},
	} {
		if got := distance(c.x, c.own, c.beyond); got != c.want {
			t.Errorf("distance(%g, %g, %g) = %g, want %g", c.x, c.own, c.beyond, got, c.want)
		}
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	far := 8000
	for name, c := range map[string]Config{
		"not allowed": {CPU: &far}, "too short": {Window: time.Millisecond},
		"between 0 and 1": {Loads: []float64{1.5}}, "at least 1": {Phases: -1},
	} {
		if _, err := Run(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Run(ctx, Config{Window: 5 * time.Second, Loads: []float64{0.05}}, nil)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}
