package agent

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/stackmeter/stackmeter/internal/clock"
	"github.com/stackmeter/stackmeter/internal/host"
)

// sameClock wants a comparison with an agent of this machine to hold zero.
func sameClock(t *testing.T, c *Client) {
	t.Helper()
	for range 5 {
		before := clock.Now()
		r, err := c.Clock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Offset.Abs() > r.Uncertainty || r.Uncertainty <= 0 || r.Uncertainty > 100*time.Millisecond {
			t.Errorf("one clock: %v apart, give or take %v", r.Offset, r.Uncertainty)
		}
		if r.At < before || r.At > clock.Now() || r.BootID != host.Live().BootID() {
			t.Errorf("%+v, was read between %d and now, in boot %s", r, before, host.Live().BootID())
		}
	}
}

func TestClockOverSocketpair(t *testing.T) {
	c, err := Spawn("far", OnHost)
	if err != nil {
		t.Fatal(err)
	}
	sameClock(t, c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestClockOverTLS(t *testing.T) {
	a := listen(t)
	c, err := Dial(t.Context(), a.addr, a.key)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sameClock(t, c)
}

// TestClockElsewhere compares with a clock of which we know how it stands to ours, over paths of
// which one is slow, and slower in all exchanges but one.
func TestClockElsewhere(t *testing.T) {
	t.Parallel()
	const ahead = 3 * time.Hour
	for name, slow := range map[string]struct{ there, back time.Duration }{
		"there": {there: 3 * time.Millisecond},
		"back":  {back: 3 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			go func() { // ends when the pipe is closed
				for i := 0; ; i++ {
					var r request
					if readFrame(theirs, &r, maxRequest) != nil {
						return
					}
					jam := 20 * time.Millisecond
					if i == 7 {
						jam = 0
					}
					time.Sleep(slow.there + jam)
					raw, _ := json.Marshal(clockTold{Monotonic: clock.Now() + ahead.Nanoseconds()})
					time.Sleep(slow.back)
					_ = writeFrame(theirs, response{Result: raw}, maxResponse)
				}
			}()
			r, err := NewClient("far", ours).Clock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if off := (r.Offset - ahead).Abs(); off > r.Uncertainty || off < time.Millisecond {
				t.Errorf("off by %v, give or take %v", off, r.Uncertainty)
			}
			if r.Uncertainty < 1500*time.Microsecond || r.Uncertainty > 10*time.Millisecond {
				t.Errorf("give or take %v, want half of the quickest exchange's 3ms", r.Uncertainty)
			}
		})
	}
}
