package profile

import (
	"cmp"
	"slices"

	"github.com/stackmeter/stackmeter/internal/profile/stage"
)

// Part is the CPU time of a stage, context, function or process, over all CPUs. Of samples
// by an event, read events for seconds.
type Part struct {
	Name    string
	Samples int
	Seconds float64         // CPU time
	PerCPU  map[int]float64 // seconds
	// Total is, of a function, the seconds in which it was anywhere on the stack.
	Total float64
	Stage stage.Stage // of a function: the one that most of its time counts for
}

// perSample is what a sample on each CPU stands for: the exact time in which the CPU
// was not halted, divided by its samples; or the period, of samples by an event.
func (s *Sampling) perSample() map[int]float64 {
	n := map[int]int{}
	for i := range s.Stacks {
		n[s.Stacks[i].CPU] += s.Stacks[i].Count
	}
	out := map[int]float64{}
	for cpu := range n {
		if s.Period > 0 {
			out[cpu] = float64(s.Period)
		}
	}
	for _, c := range s.CPU.PerCPU {
		if n[c.CPU] > 0 {
			out[c.CPU] = Busy(c) / float64(n[c.CPU])
		}
	}
	return out
}

// BusySeconds is the CPU time in which CPUs were not halted, of all CPUs.
func (s *Sampling) BusySeconds() (sum float64) {
	for _, c := range s.CPU.PerCPU {
		sum += Busy(c)
	}
	return sum
}

// IdleSeconds is the time in which CPUs were halted, of all CPUs, from exact
// accounting and never from samples.
func (s *Sampling) IdleSeconds() (sum float64) {
	for _, c := range s.CPU.PerCPU {
		sum += c.Idle + c.IOWait
	}
	return sum
}

// parts adds up stacks by a key.
func (s *Sampling) parts(key func(*Stack) string) []Part {
	byName := map[string]*Part{}
	per := s.perSample()
	for i := range s.Stacks {
		x := &s.Stacks[i]
		p := byName[key(x)]
		if p == nil {
			p = &Part{Name: key(x), PerCPU: map[int]float64{}}
			byName[p.Name] = p
		}
		d := float64(x.Count) * per[x.CPU]
		p.Samples += x.Count
		p.Seconds += d
		p.PerCPU[x.CPU] += d
	}
	out := make([]Part, 0, len(byName))
	for _, p := range byName {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Part) int { return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name)) })
	return out
}

// ByStage is the time by stage, in the order of stage.Stages; what is 0 is left out.
func (s *Sampling) ByStage() []Part {
	found := map[string]Part{}
	for _, p := range s.parts(func(x *Stack) string { return string(x.Stage) }) {
		found[p.Name] = p
	}
	var out []Part
	for _, i := range stage.Stages() {
		if p, ok := found[string(i.Stage)]; ok {
			p.Stage = i.Stage
			out = append(out, p)
		}
	}
	return out
}

// ByContext is the time by context, most first.
func (s *Sampling) ByContext() []Part {
	return s.parts(func(x *Stack) string { return string(x.Context) })
}

// ByCommand is the time by process name, most first.
func (s *Sampling) ByCommand() []Part { return s.parts(func(x *Stack) string { return x.Command }) }

// leaf is the function that a stack's own time counts for: the caller of one that
// turned interrupts on.
func (x *Stack) leaf() int {
	switch {
	case len(x.Frames) == 0:
		return -1
	case x.Skid && len(x.Frames) > 1:
		return x.Frames[1]
	}
	return x.Frames[0]
}

// ByFunction is the time by function, own time first.
func (s *Sampling) ByFunction() []Part { return s.byFunction(func(*Stack) bool { return true }) }

// ofLoad leaves out what processes beside the load did.
func ofLoad(x *Stack) bool { return x.Stage != stage.Stranger }

// loadSeconds is BusySeconds without what processes beside the load used.
func (s *Sampling) loadSeconds() float64 {
	sum := s.BusySeconds()
	for _, p := range s.ByStage() {
		if p.Stage == stage.Stranger {
			sum -= p.Seconds
		}
	}
	return sum
}

func (s *Sampling) byFunction(keep func(*Stack) bool) []Part {
	per := s.perSample()
	parts := make([]Part, len(s.Functions))
	stages := make([]map[stage.Stage]float64, len(s.Functions))
	for i := range parts {
		parts[i] = Part{Name: s.Functions[i], PerCPU: map[int]float64{}}
		stages[i] = map[stage.Stage]float64{}
	}
	seen := make([]int, len(s.Functions)) // by function: the last stack it was in, plus one
	for i := range s.Stacks {
		x := &s.Stacks[i]
		if !keep(x) {
			continue
		}
		d := float64(x.Count) * per[x.CPU]
		if l := x.leaf(); l >= 0 {
			p := &parts[l]
			p.Samples += x.Count
			p.Seconds += d
			p.PerCPU[x.CPU] += d
			stages[l][x.Stage] += d
		}
		for _, f := range x.Frames {
			if seen[f] != i+1 {
				seen[f] = i + 1
				parts[f].Total += d
			}
		}
	}
	for i := range parts {
		most := 0.0
		for st, d := range stages[i] {
			if d > most || d == most && st < parts[i].Stage {
				most, parts[i].Stage = d, st
			}
		}
	}
	slices.SortFunc(parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	return parts
}

// PerKilobyte is nanoseconds of CPU time per kilobyte (1000 bytes) that IP received in
// the same slices; 0 where nothing was carried.
func (s *Sampling) PerKilobyte(seconds float64) float64 {
	if s.Bytes == 0 {
		return 0
	}
	return seconds * 1e9 / (float64(s.Bytes) / 1000)
}

// EventsPerKilobyte is events per kilobyte (1000 bytes) that IP received in the same
// slices.
func (s *Sampling) EventsPerKilobyte(events float64) float64 {
	if s.Bytes == 0 {
		return 0
	}
	return events / (float64(s.Bytes) / 1000)
}

// pass finds a pass by name.
func (p *Profile) pass(name string) *Pass {
	for i := range p.Passes {
		if p.Passes[i].Name == name {
			return &p.Passes[i]
		}
	}
	return nil
}
