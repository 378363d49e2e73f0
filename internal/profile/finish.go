package profile

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/stackmeter/stackmeter/internal/profile/count"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// maxFlows and maxSites bound what a record holds.
const (
	maxFlows = 256
	maxSites = 200
)

// finish puts what the passes gathered into the record.
func (s *session) finish(p *Profile) error {
	p.Counters = s.grown[PassOff]
	for _, x := range p.Passes {
		switch x.Name {
		case PassSample:
			p.Sampling = s.samples.finish(s.options.Frequency)
			p.Sampling.Bytes = x.Bytes
		case PassEvents:
			p.Events = s.finishEvents()
		case PassLight:
			p.Light = s.counts(PassLight)
		case PassFrame:
			p.Frame = s.counts(PassFrame)
		case PassFlow:
			flows, lost, err := s.flows.Read()
			if err != nil {
				return err
			}
			if len(flows) > maxFlows {
				p.warn("flows-left-out", "%d flows were seen; the record has the %d that carried most", len(flows), maxFlows)
				flows = flows[:maxFlows]
			}
			p.Flows, p.FlowLost = flows, lost
		case PassLock:
			if err := s.finishLocks(p); err != nil {
				return err
			}
		}
	}
	s.check(p)
	return nil
}

func (s *session) finishLocks(p *Profile) error {
	names := s.samples.names
	if names == nil {
		var err error
		if names, err = symbol.ReadKernel(); err != nil {
			return err
		}
	}
	sites, lost, err := s.locks.Read(names)
	if err != nil {
		return err
	}
	if len(sites) > maxSites {
		sites = sites[:maxSites]
	}
	p.Locks, p.LockLost = sites, lost
	return nil
}

func (s *session) counts(pass string) *Counted {
	c := s.counted[pass]
	out := &Counted{Events: c.Events, Kernel: s.grown[pass], Caches: c.Caches}
	for k, n := range c.NICs {
		out.NICs = append(out.NICs, NIC{Netns: k.Netns, Index: k.Index, Name: s.meter.nicName(k), NICCounts: n})
	}
	slices.SortFunc(out.NICs, func(a, b NIC) int { return cmp.Or(cmp.Compare(a.Netns, b.Netns), cmp.Compare(a.Index, b.Index)) })
	kernel := s.grown[pass]
	beside := func(what string, counted uint64, source string) {
		if n, ok := kernel[source]; ok {
			out.Agree = append(out.Agree, Agreement{what, counted, n, s.slack[pass][source], source})
		}
	}
	if pass == PassLight {
		beside("context switches", c.Events[count.Switch], kernelSwitches)
	} else {
		beside("packets handed up", c.Total().Received, kernelPackets)
	}
	return out
}

// nicName is the name of a NIC of a namespace that is watched, "" where it is not known.
func (m *meter) nicName(k count.NIC) string {
	if n := m.inNet[k.Netns]; n != nil {
		return n.nics[k.Index]
	}
	return ""
}

// Limits beyond which a reader is warned.
const (
	closureLimit   = 0.005
	otherLimit     = 0.02
	agreementLimit = 0.001
	fewSamples     = 200
)

// check tells what a reader must know before trusting a figure.
func (s *session) check(p *Profile) {
	if x := p.Sampling; x != nil {
		if x.Lost > 0 {
			p.warn("samples-lost", "%d samples found their ring full", x.Lost)
		}
		if x.Throttled > 0 {
			p.warn("throttled", "the kernel held the sampling up %d times: lower the frequency", x.Throttled)
		}
		if x.Samples < fewSamples {
			p.warn("few-samples", "%d samples only: shares have an error of some %.0f points; profile for longer", x.Samples, 100/math.Sqrt(float64(max(x.Samples, 1))))
		}
		if x.Kernel > 0 && float64(x.Other) > otherLimit*float64(x.Kernel) {
			p.warn("other", "no rule knows %.1f %% of the kernel samples", 100*float64(x.Other)/float64(x.Kernel))
		}
		if c := x.CPU.Closure; x.CPU.Exact && (c < 1-closureLimit || c > 1+closureLimit) {
			p.warn("closure", "the CPUs' time by class sums to %.1f %% of wall time", 100*c)
		}
	}
	for _, c := range []*Counted{p.Light, p.Frame} {
		if c == nil {
			continue
		}
		if n := c.Events[count.Lost]; n > 0 {
			p.warn("counts-lost", "%d events found their table full", n)
		}
		for _, a := range c.Agree {
			if d := float64(a.Counted) - float64(a.Kernel); max(d, -d) > agreementLimit*float64(a.Kernel)+float64(a.Slack) {
				p.warn("disagreement", "%s: counted %d, the kernel's %s says %d", a.What, a.Counted, a.Source, a.Kernel)
			}
		}
	}
	if p.FlowLost > 0 {
		p.warn("flows-lost", "%d events of flows found their table full", p.FlowLost)
	}
	if l := p.LockLost; l.Waits+l.Collisions > 0 {
		p.warn("locks-lost", "%d waits found their table full; the stacks of %d were lost to others", l.Waits, l.Collisions)
	}
}

func (p *Profile) warn(code, format string, args ...any) {
	p.Warnings = append(p.Warnings, trial.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}
