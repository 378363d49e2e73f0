package profile

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/profile/sample"
	"github.com/stackmeter/stackmeter/internal/profile/stage"
	"github.com/stackmeter/stackmeter/internal/profile/symbol"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// gathered is the samples of all slices so far.
type gathered struct {
	names     *symbol.Table
	processes *symbol.Processes
	commands  map[int]string
	load      *meter              // the load's namespaces; nil: nobody is a stranger
	strangers map[int]bool        // processes elsewhere
	stacks    map[string]*weighed // by CPU, process and addresses
	lost      uint64
	throttled uint64
	cpu       map[int]trial.CPUTime
	cpuSource string
	cpuExact  bool
	wall      float64 // CPU seconds
	bytes     uint64  // that IP received
}

type weighed struct {
	sample sample.Sample
	count  int
}

func (g *gathered) init() {
	g.processes = symbol.NewProcesses()
	g.commands = map[int]string{0: "idle"}
	g.stacks = map[string]*weighed{}
	g.strangers = map[int]bool{}
	g.cpu = map[int]trial.CPUTime{}
}

// add takes the samples of a slice, and looks at their processes while these live.
func (g *gathered) add(r *sample.Records) {
	g.lost += r.Lost
	g.throttled += r.Throttled
	var key []byte
	for i := range r.Samples {
		x := &r.Samples[i]
		key = key[:0]
		key = binary.NativeEndian.AppendUint32(key, uint32(x.CPU))
		key = binary.NativeEndian.AppendUint32(key, uint32(x.PID))
		for _, a := range x.Kernel {
			key = binary.NativeEndian.AppendUint64(key, a)
		}
		key = append(key, '/')
		for _, a := range x.User {
			key = binary.NativeEndian.AppendUint64(key, a)
		}
		w := g.stacks[string(key)]
		if w == nil {
			w = &weighed{sample: *x}
			g.stacks[string(key)] = w
		}
		w.count++
		if _, known := g.commands[x.PID]; !known {
			comm, err := os.ReadFile("/proc/" + strconv.Itoa(x.PID) + "/comm")
			if err != nil {
				comm = fmt.Appendf(nil, "pid %d", x.PID) // gone already
			}
			g.commands[x.PID] = command(string(comm))
			g.strangers[x.PID] = g.load != nil && !g.load.has(x.PID)
			if len(x.User) > 0 {
				g.processes.Load(x.PID)
			}
		}
	}
}

// ofProcess tells the contexts in which a process runs for itself; the others come over
// it.
func ofProcess(c stage.Context) bool {
	return c == stage.InUser || c == stage.InSyscall || c == stage.InFault
}

// command is a process's name, less the number that tells a NAPI thread's instances
// apart: another run has others.
func command(comm string) string {
	name := strings.TrimSpace(comm)
	if i := strings.LastIndexByte(name, '-'); i > 0 && strings.HasPrefix(name, "napi/") {
		name = name[:i]
	}
	return name
}

// addCPU takes the CPU time of a slice.
func (g *gathered) addCPU(u trial.CPU) {
	g.cpuSource, g.cpuExact = u.Source, u.Exact
	for _, c := range u.PerCPU {
		s := g.cpu[c.CPU]
		s.CPU = c.CPU
		s.User += c.User
		s.System += c.System
		s.SoftIRQ += c.SoftIRQ
		s.IRQ += c.IRQ
		s.Idle += c.Idle
		s.IdleBusy += c.IdleBusy
		s.IOWait += c.IOWait
		s.Steal += c.Steal
		g.cpu[c.CPU] = s
		g.wall += u.WindowSeconds
	}
}

// table numbers functions.
type table struct {
	names []string
	index map[string]int
}

func (t *table) of(name string) int {
	i, known := t.index[name]
	if !known {
		i = len(t.names)
		t.names = append(t.names, name)
		t.index[name] = i
	}
	return i
}

// finish names and classifies everything.
func (g *gathered) finish(frequency int) *Sampling {
	out := &Sampling{Frequency: frequency, Bytes: g.bytes, Lost: g.lost, Throttled: g.throttled}
	functions := table{index: map[string]int{}}
	classifier := stage.NewClassifier()
	bySymbol := map[string]*Stack{} // stacks that differ in addresses only are one
	var frames []string
	var key []byte
	for _, w := range g.stacks {
		frames = frames[:0]
		for _, a := range w.sample.Kernel {
			frames = append(frames, g.kernelName(a))
		}
		r := classifier.Classify(frames, w.sample.PID == 0)
		if r.Stage == stage.Idle {
			out.Idle += w.count
			continue
		}
		if g.strangers[w.sample.PID] && ofProcess(r.Context) {
			r.Stage = stage.Stranger
		}
		out.Samples += w.count
		if !w.sample.InUser {
			out.Kernel += w.count
			if r.Skid {
				out.Skid += w.count
			}
			if r.Stage == stage.Other {
				out.Other += w.count
			}
		}
		s := Stack{CPU: w.sample.CPU, Command: g.commands[w.sample.PID], Stage: r.Stage, Context: r.Context, Skid: r.Skid}
		for _, f := range frames {
			s.Frames = append(s.Frames, functions.of(f))
		}
		for _, f := range g.userNames(&w.sample) {
			s.Frames = append(s.Frames, functions.of(f))
			s.User++
		}
		key = append(key[:0], s.Command...)
		key = append(key, 0, byte(s.User))
		key = binary.NativeEndian.AppendUint32(key, uint32(s.CPU))
		for _, f := range s.Frames {
			key = binary.NativeEndian.AppendUint32(key, uint32(f))
		}
		same := bySymbol[string(key)]
		if same == nil {
			bySymbol[string(key)] = &s
			same = &s
		}
		same.Count += w.count
	}
	out.Functions = functions.names
	for _, s := range bySymbol {
		out.Stacks = append(out.Stacks, *s)
	}
	slices.SortFunc(out.Stacks, func(a, b Stack) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.CPU, b.CPU), cmp.Compare(a.Command, b.Command), slices.Compare(a.Frames, b.Frames))
	})
	out.CPU = g.cpuTime()
	return out
}

func (g *gathered) kernelName(addr uint64) string {
	name, ok := g.names.Find(addr)
	if !ok {
		return fmt.Sprintf("0x%x", addr)
	}
	return name
}

// userNames ends where a name is wanting: above it the frame pointers of code that has
// none mean nothing.
func (g *gathered) userNames(x *sample.Sample) []string {
	var out []string
	for _, a := range x.User {
		name, ok := g.processes.Find(x.PID, a)
		if !ok {
			break
		}
		out = append(out, name)
	}
	if len(out) == 0 && x.InUser {
		out = append(out, "[unknown]")
	}
	return out
}

func (g *gathered) cpuTime() CPUTime {
	t := CPUTime{Source: g.cpuSource, Exact: g.cpuExact}
	var sum float64
	for _, c := range g.cpu {
		t.PerCPU = append(t.PerCPU, c)
		sum += Busy(c) + c.Idle + c.IOWait + c.Steal
	}
	slices.SortFunc(t.PerCPU, func(a, b trial.CPUTime) int { return a.CPU - b.CPU })
	if g.wall > 0 {
		t.Closure = sum / g.wall
	}
	return t
}

// Busy is the time in which a CPU was not halted.
func Busy(c trial.CPUTime) float64 { return c.User + c.System + c.SoftIRQ + c.IRQ + c.IdleBusy }
