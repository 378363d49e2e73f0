package advise

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/profile"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// profileFor is how long the passes of the profile take together.
const profileFor = 2 * time.Second

// profileOpening is what loading the profile's programs takes, at most.
const profileOpening = 10 * time.Second

// Live is a bench of real hosts, or of namespaces of this machine.
type Live struct{ *experiment.Bench }

// Trial is a trial of the bench, with what the sender's queueing disciplines held back in it.
func (l Live) Trial(ctx context.Context, c experiment.Config, t experiment.Timing) (trial.Trial, error) {
	before := l.held()
	rec, err := l.Bench.Trial(ctx, c, t)
	for name, n := range l.held() {
		if rec.Counters != nil && n > before[name] {
			rec.Counters[name] = n - before[name]
		}
	}
	return rec, err
}

// held are the overlimits of the sender's NICs, none where the sender is not on this machine. A queueing
// discipline that a trial replaced counts from nothing.
func (l Live) held() map[string]uint64 {
	out := map[string]uint64{}
	if !l.OneMachine() {
		return out
	}
	// Without them one cause is not found, which says that it looked at nothing.
	_ = sysx.InNetNS(fmt.Sprintf("/proc/%d/ns/net", l.Client.PID()), func(string) error {
		links, err := netlink.LinkList()
		for _, link := range links {
			all, err := netlink.QdiscList(link)
			if err != nil {
				return err
			}
			for _, q := range all {
				if a := q.Attrs(); a.Statistics != nil && a.Statistics.Queue != nil {
					out[heldCounter(link.Attrs().Name)] += uint64(a.Statistics.Queue.Overlimits)
				}
			}
		}
		return err
	})
	return out
}

// NICs are the server's, with those at the other end where they are known.
func (l Live) NICs() []NIC {
	var out []NIC
	for _, x := range l.Links {
		out = append(out, NIC{Name: x.Server.Name, SenderNIC: x.Client.Name})
	}
	return out
}

// Settings are those of both ends, where they are ours to change.
func (l Live) Settings(ctx context.Context, nics []string) (server, client []agent.Tunable, err error) {
	if server, err = l.Server.Tunables(ctx, agent.TunablesOf{NICs: nics}); err != nil || !l.OneMachine() {
		return server, nil, err
	}
	var peers []string
	for _, n := range l.NICs() {
		peers = append(peers, n.SenderNIC)
	}
	client, err = l.Client.Tunables(ctx, agent.TunablesOf{NICs: peers})
	return server, client, err
}

// Profiled runs a trial that is profiled while its load still runs, after its window. A profile that takes
// longer than that time is given up, not its trial.
func (l Live) Profiled(ctx context.Context, c experiment.Config, t experiment.Timing, within time.Duration) (rec trial.Trial, seen *Profiled, why, err error) {
	b := *l.Bench
	b.LoadedFor = min(profileFor+profileOpening, within)
	b.Loaded = func(ctx context.Context, agents []int) error {
		bound, cancel := context.WithTimeoutCause(ctx, within, errors.New("it takes longer than the budget has for it: "+raiseBudget))
		defer cancel()
		p, err := profile.Run(bound, profile.Options{
			Duration: profileFor, PIDs: agents[:1], Load: agents,
			Passes: []string{profile.PassSample, profile.PassFrame, profile.PassFlow, profile.PassLock},
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if bound.Err() != nil {
			err = context.Cause(bound)
		}
		if why = err; err == nil {
			seen = look(p)
		}
		return nil
	}
	rec, err = b.Trial(ctx, c, t)
	return rec, seen, why, err
}

// look takes the figures that causes are named by out of a profile.
func look(p *profile.Profile) *Profiled {
	out := &Profiled{Apart: -1, FramesPerPacket: -1, Copy: -1, PerFrame: -1, Locks: -1}
	var bytes, apart uint64
	for _, f := range p.Flows {
		bytes += f.Bytes
		apart += f.CrossBytes
	}
	if bytes > 0 {
		out.Apart = float64(apart) / float64(bytes)
	}
	if t := p.FrameTotals(); t.Packets > 0 {
		out.FramesPerPacket = float64(t.Frames) / float64(t.Packets)
	}
	if x := p.Sampling; x != nil && x.BusySeconds() > 0 {
		shares := map[stage.Stage]float64{}
		for _, part := range x.ByStage() {
			shares[part.Stage] = part.Seconds / x.BusySeconds()
		}
		out.Copy, out.Locks = shares[stage.Copy], shares[stage.Locks]
		out.PerFrame = shares[stage.Driver] + shares[stage.NAPI] + shares[stage.IP] + shares[stage.TCP] + shares[stage.Alloc]
		for _, c := range x.CPU.PerCPU {
			wall := profile.Busy(c) + c.Idle
			work := 0.0
			for _, part := range x.ByContext() {
				if part.Name == string(stage.InSoftIRQ) || part.Name == string(stage.InNAPI) {
					work += part.PerCPU[c.CPU]
				}
			}
			out.ReceiveWork = append(out.ReceiveWork, CPU{CPU: c.CPU, Busy: profile.Busy(c) / positive(wall), SoftIRQ: work / positive(wall)})
		}
	}
	for _, l := range p.Limits {
		out.Limits = append(out.Limits, l.What+": "+l.Why)
	}
	if len(p.Locks) > 0 {
		out.LockSite = fmt.Sprintf("%s in %s, %v in all", p.Locks[0].Function, p.Locks[0].Caller, p.Locks[0].Total.Round(time.Millisecond))
	}
	return out
}

// Latency measures one request at a time over each flow.
func (l Live) Latency(ctx context.Context, c experiment.Config, t experiment.Timing) (Percentiles, error) {
	h, err := l.Bench.Latency(ctx, c, t)
	if err != nil {
		return Percentiles{}, err
	}
	return Percentiles{P50: time.Duration(h.Quantile(0.5)).Seconds(), P99: time.Duration(h.Quantile(0.99)).Seconds(), Count: h.Count()}, nil
}
