package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/stackmeter/stackmeter/internal/probe/cpu"
)

// sample is one tool's run.
type sample struct {
	rate      float64 // as the kernel counted: bit/s or transactions/s
	cpus      float64 // CPUs not halted, less those that strangers used
	strangers float64 // share of the CPUs
	own       own
}

func (s sample) perCPU() float64 { return s.rate / s.cpus }

const (
	ramp  = 500 * time.Millisecond // from when all flows run to the window
	start = time.Second            // to start a tool and to end it, together with the ramp
)

// attempts is how often a disturbed window is measured.
const attempts = 4

// quietest is the first run that strangers left alone, or the one that they
// disturbed least.
func (r *bench) quietest(ctx context.Context, c contest, e entry, window time.Duration) (best sample, err error) {
	best.strangers = math.Inf(1)
	for range attempts {
		s, err := r.measure(ctx, c, e, window)
		if err != nil {
			return s, err
		}
		if s.strangers < best.strangers {
			best = s
		}
		if best.strangers <= r.strangers {
			break
		}
	}
	return best, nil
}

// measure runs a tool and takes the middle of its run.
func (r *bench) measure(ctx context.Context, c contest, e entry, window time.Duration) (s sample, err error) {
	length := math.Ceil((window + ramp + start + e.slack + e.settle).Seconds())
	env := append(os.Environ(), "TO="+r.server.Addr.String(), fmt.Sprint("SECS=", length), "KEY="+r.key)
	serverCPUs, clientCPUs := "1", "0"
	if c.free {
		serverCPUs, clientCPUs = "0,1", "0,1"
	}
	server, err := r.server.start(env, serverCPUs, e.server)
	if err != nil {
		return s, err
	}
	defer server.kill()
	time.Sleep(150 * time.Millisecond) // until it listens
	client, err := r.client.start(env, clientCPUs, e.client)
	if err != nil {
		return s, err
	}
	defer client.kill()
	if err := r.settle(e, length); err != nil {
		return s, errors.Join(err, client.wait(ctx, 0))
	}
	var marks [2]cpu.Mark
	var counts [2]counters
	for i := range marks {
		if i == 1 {
			time.Sleep(window)
		}
		if counts[i], err = r.server.counters(); err != nil {
			return s, err
		}
		if marks[i], err = r.probe.Mark(); err != nil {
			return s, err
		}
	}
	use, _, err := cpu.Usage(marks[0], marks[1], r.who)
	if err != nil {
		return s, err
	}
	if n := counts[1]["Tcp.CurrEstab"]; n < uint64(e.conns) {
		return s, errors.Join(fmt.Errorf("%d connections at the end of the window, not %d: the tool ended too early", n, e.conns), client.wait(ctx, 0))
	}
	limit := time.Duration(length)*time.Second + e.slack + 5*time.Second
	if err := client.wait(ctx, limit); err != nil {
		return s, err
	}
	if !e.resident {
		if err := server.wait(ctx, 5*time.Second); err != nil {
			return s, err
		}
	}
	server.kill()
	if s.own, err = e.parse(server.out.String(), client.out.String()); err != nil {
		return s, err
	}
	s.rate = c.carried(counts[0], counts[1], s.own) / use.WindowSeconds
	if s.rate < 1 {
		return s, errors.New("nothing was carried in the window")
	}
	others := use.Groups["stranger"] / use.WindowSeconds
	s.strangers = others / float64(use.Online)
	s.cpus = use.Utilization*float64(use.Online) - others
	return s, nil
}

// settle waits until all connections are there, and then for the ramp.
func (r *bench) settle(e entry, seconds float64) error {
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	for {
		now, err := r.client.counters()
		if err != nil {
			return err
		}
		if n := now["Tcp.CurrEstab"]; n >= uint64(e.conns) {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("%d connections after %.0f s, not %d", n, seconds, e.conns)
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(e.settle + ramp)
	return nil
}

// who tells the tools' processes, this program and the kernel from strangers.
// The tools still run when it is asked.
func (r *bench) who(pid int, _ string, kthread bool) string {
	if kthread {
		return "kernel"
	}
	if pid == os.Getpid() {
		return "tool"
	}
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err == nil && (ns == r.server.netns || ns == r.client.netns) {
		return "load"
	}
	return "stranger"
}
