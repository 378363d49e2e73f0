// Package stage says which part of the network stack a sampled stack was in, and in
// which context it ran, from the names of the functions alone.
//
// The stage is that of the first frame, from leaf to root, for which the table has a
// rule: a helper without a rule (memset, rcu_read_lock) counts as whoever called it,
// and a spin lock taken by TCP counts as locks. The context is a second axis, since one
// stage runs in several: veth runs its receiver's softirq within the sender's system
// call.
//
// Where the clock's interrupt is no NMI, samples that fell into a section with
// interrupts off land on the function that turns them on. Such a leaf (see
// [Result.Skid]) is passed over: the section belongs to its caller. Only the share
// of such samples is exact, not where in the section each belonged.
package stage

import "strings"

// Stage is a part of the stack. The values are stable: they stand in records.
type Stage string

// The stages.
const (
	Interrupt Stage = "interrupt" // interrupt and softirq dispatch
	Driver    Stage = "driver"
	NAPI      Stage = "napi"
	Xmit      Stage = "xmit"
	IP        Stage = "ip"
	TCP       Stage = "tcp"
	UDP       Stage = "udp"
	Socket    Stage = "socket"
	Copy      Stage = "copy"
	Checksum  Stage = "checksum"
	Alloc     Stage = "alloc"
	Wakeup    Stage = "wakeup"
	Locks     Stage = "locks"
	Timers    Stage = "timers"
	Syscall   Stage = "syscall"
	Memory    Stage = "memory"
	Files     Stage = "files"
	Process   Stage = "process"
	Trace     Stage = "trace"
	Idle      Stage = "idle"
	Load      Stage = "load"
	Stranger  Stage = "stranger" // see package profile; no rule gives it
	Other     Stage = "other"
)

// Info says what a stage is.
type Info struct {
	Stage Stage
	Title string
}

// Stages lists all stages in the order in which a received byte meets them.
func Stages() []Info {
	return []Info{
		{Interrupt, "interrupt and softirq dispatch"},
		{Driver, "driver"},
		{NAPI, "NAPI and GRO"},
		{IP, "IP, routing and filters"},
		{TCP, "TCP"},
		{UDP, "UDP"},
		{Socket, "socket"},
		{Copy, "copy to and from user"},
		{Checksum, "checksum"},
		{Alloc, "allocation and freeing"},
		{Wakeup, "wake-up and scheduler"},
		{Locks, "locks"},
		{Timers, "timers and clock"},
		{Xmit, "transmit queue and segmentation"},
		{Syscall, "system call entry and exit"},
		{Memory, "virtual memory"},
		{Files, "files and disks"},
		{Process, "processes"},
		{Trace, "tracing, BPF and sampling"},
		{Load, "user code"},
		{Stranger, "processes beside the load"},
		{Other, "other"},
		{Idle, "idle"},
	}
}

// Context is in what a stack ran. The values are stable.
type Context string

// The contexts.
const (
	InUser     Context = "user"
	InSyscall  Context = "system-call"
	InSoftIRQ  Context = "softirq"
	InNAPI     Context = "threaded-napi"
	InIRQ      Context = "irq"
	InIPI      Context = "ipi"
	InFault    Context = "exception"
	InKThread  Context = "kernel-thread"
	InIdle     Context = "idle"
	InIdleTask Context = "idle-task" // the idle task's own work, not halted
)

// Result is what a stack is.
type Result struct {
	Stage   Stage
	Context Context
	// Frame is the index of the frame that decided the stage, -1 where none did.
	Frame int
	// Skid tells that the leaf is a function that turns interrupts on: the sample
	// belongs somewhere into the section before it.
	Skid bool
}

// Classifier remembers the rules of the functions it has seen. It is not safe for
// concurrent use.
type Classifier struct {
	known map[string]matched
}

type matched struct {
	stage   Stage // "" for none
	context Context
	callees Stage // what an unknown function is that this one calls
	skid    bool
}

// NewClassifier returns one that knows the table.
func NewClassifier() *Classifier { return &Classifier{known: map[string]matched{}} }

// Classify tells what a kernel stack is, from leaf to root; idleTask says that the
// idle task was the current one. An empty stack was in user mode.
func (c *Classifier) Classify(frames []string, idleTask bool) Result {
	if len(frames) == 0 {
		return Result{Stage: Load, Context: InUser, Frame: -1}
	}
	r := Result{Stage: Other, Context: c.context(frames, idleTask), Frame: -1}
	from := 0
	if c.look(frames[0]).skid && len(frames) > 1 {
		r.Skid = true
		from = 1
	}
	for i := from; i < len(frames); i++ {
		m := c.look(frames[i])
		if m.stage == "" && i+1 < len(frames) {
			m.stage = c.look(frames[i+1]).callees
		}
		if m.stage != "" {
			r.Stage, r.Frame = m.stage, i
			break
		}
	}
	if r.Stage == Idle {
		if r.Context != InIdleTask {
			// An interrupt within the idle loop that no rule knows.
			r.Stage = Interrupt
		} else if c.halts(frames) {
			r.Context = InIdle
		}
	}
	return r
}

func (c *Classifier) context(frames []string, idleTask bool) Context {
	for i, f := range frames {
		m := c.look(f)
		if m.context == "" || m.context == InKThread && idleTask {
			continue
		}
		if m.context == InIRQ && i+1 < len(frames) && c.look(frames[i+1]).context == InIPI {
			return InIPI
		}
		return m.context
	}
	if idleTask {
		return InIdleTask
	}
	return InKThread
}

// halts reports whether the idle task's stack is in the halting instruction.
func (c *Classifier) halts(frames []string) bool {
	for _, f := range frames[:min(2, len(frames))] {
		switch plain(f) {
		case "pv_native_safe_halt", "native_safe_halt", "default_idle", "acpi_safe_halt", "acpi_idle_do_entry", "intel_idle", "mwait_idle", "cpu_do_idle", "arch_cpu_idle":
			return true
		}
	}
	return false
}

func (c *Classifier) look(name string) matched {
	m, ok := c.known[name]
	if ok {
		return m
	}
	p := plain(name)
	for _, r := range rules {
		if anyMatch(r.functions, p) {
			m.stage = r.stage
			break
		}
	}
	for _, r := range contexts {
		if anyMatch(r.functions, p) {
			m.context = r.context
			break
		}
	}
	for _, r := range calls {
		if anyMatch(r.functions, p) {
			m.callees = r.stage
			break
		}
	}
	m.skid = anyMatch(enablers, p)
	c.known[name] = m
	return m
}

// plain is a function's name without what the compiler adds for copies of it.
func plain(name string) string {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

// anyMatch looks a name up in a list of patterns separated by blanks: a name, or one
// with a * at its end, at its start or at both.
func anyMatch(patterns []string, name string) bool {
	for _, p := range patterns {
		if matches(p, name) {
			return true
		}
	}
	return false
}

func matches(pattern, name string) bool {
	head, starts := strings.CutSuffix(pattern, "*")
	tail, ends := strings.CutPrefix(head, "*")
	switch {
	case starts && ends:
		return strings.Contains(name, tail)
	case starts:
		return strings.HasPrefix(name, head)
	case ends:
		return strings.HasSuffix(name, tail)
	}
	return name == pattern
}
