// Package bpf follows every CPU through its classes of time with BPF programs
// on the kernel's own tracepoints: exact to the nanosecond, without sampling.
//
// It is the low part of package cpu: it loads, attaches, reads raw sums and
// unloads. It changes nothing on the machine and pins nothing: when the process
// dies, however it dies, the kernel takes the programs away.
//
// Needed: a kernel of at least 5.10 with BTF (CONFIG_DEBUG_INFO_BTF) and
// CAP_BPF with CAP_PERFMON, or root, in the initial user namespace.
//
// Cost: some 100 ns an event, half of it the reading of the clock (Zen 5, in a
// virtual machine). Small datagrams over loopback, two events each, went from 3.0
// to 3.4 us (BenchmarkDatagramOverLoopback); a netperf TCP_STREAM with 300 thousand
// events a second pays some 3 % of a CPU. The time lies within the classes: it is
// charged to what the event came over. Reading takes some 50 us on two CPUs.
//
// Caveats. The time between the hardware's interrupt and the kernel's
// tracepoint is charged to what was interrupted. An interrupt vector without a
// tracepoint (Xen and Hyper-V callbacks) counts as the context it interrupts. On
// PREEMPT_RT softirqs are preempted, which the state machine does not follow.
package bpf

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Config says what the programs cannot find out by themselves.
type Config struct {
	// Online lists the CPUs whose state is seeded at once. A CPU that comes
	// online later is followed from its first event.
	Online []int
	// PollingStates has bit N set when cpuidle state N polls instead of halting
	// (state "POLL" in /sys/devices/system/cpu/cpu0/cpuidle).
	PollingStates uint32
	// PlainIdle leaves the cpu_idle tracepoint out: the idle task counts as
	// halted. For kernels whose idle loop never reaches the tracepoint.
	PlainIdle bool

	without []string // tracepoints to leave out, as on a machine that does not report all events
}

// Tracer holds the loaded programs. Close unloads them.
type Tracer struct {
	idleTraced bool
	attached   []string

	links  []link.Link
	progs  map[string]*ebpf.Program
	procs  *ebpf.Map
	memory *memory
	keys   []cputimeProcKey
	values []cputimeProc
}

// The tracepoints by program. Exits come before entries, so that an entry which
// was seen always has its exit seen. Of the interrupt vectors those that the
// kernel has are used: arch/x86/include/asm/trace/irq_vectors.h, and
// include/trace/events/ipi.h for arm64.
var attachments = []struct {
	prog     string
	tp       string
	optional bool
}{
	{cputimeProgOnIrqExit, "irq_handler_exit", false},
	{cputimeProgOnIrqExit, "local_timer_exit", true},
	{cputimeProgOnIrqExit, "reschedule_exit", true},
	{cputimeProgOnIrqExit, "call_function_exit", true},
	{cputimeProgOnIrqExit, "call_function_single_exit", true},
	{cputimeProgOnIrqExit, "irq_work_exit", true},
	{cputimeProgOnIrqExit, "x86_platform_ipi_exit", true},
	{cputimeProgOnIrqExit, "thermal_apic_exit", true},
	{cputimeProgOnIrqExit, "ipi_exit", true},
	{cputimeProgOnSoftirqExit, "softirq_exit", false},
	{cputimeProgOnCpuIdle, "cpu_idle", true},
	{cputimeProgOnCpuhp, "cpuhp_enter", true},
	{cputimeProgOnSchedSwitch, "sched_switch", false},
	{cputimeProgOnSoftirqEntry, "softirq_entry", false},
	{cputimeProgOnIrqEntry, "irq_handler_entry", false},
	{cputimeProgOnIrqEntry, "local_timer_entry", true},
	{cputimeProgOnIrqEntry, "reschedule_entry", true},
	{cputimeProgOnIrqEntry, "call_function_entry", true},
	{cputimeProgOnIrqEntry, "call_function_single_entry", true},
	{cputimeProgOnIrqEntry, "irq_work_entry", true},
	{cputimeProgOnIrqEntry, "x86_platform_ipi_entry", true},
	{cputimeProgOnIrqEntry, "thermal_apic_entry", true},
	{cputimeProgOnIrqEntry, "ipi_entry", true},
}

// ErrPermission is wrapped when the caller may not load programs. (The verifier's
// refusal is EACCES, which os.ErrPermission would match too.)
var ErrPermission = unix.EPERM

// ErrNoBTF is wrapped when the kernel has no type information.
var ErrNoBTF = errors.New("the kernel has no BTF (/sys/kernel/btf/vmlinux)")

// Load loads and attaches the programs and seeds the state of every CPU of
// c.Online. The error wraps ErrPermission or ErrNoBTF where that is the
// cause.
func Load(c Config) (*Tracer, error) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return nil, ErrNoBTF
	}
	t, err := load(c, !c.PlainIdle)
	if errors.Is(err, errNoCPUIdle) {
		t, err = load(c, false)
	}
	return t, err
}

var errNoCPUIdle = errors.New("no tracepoint cpu_idle")

func load(c Config, traceIdle bool) (_ *Tracer, err error) {
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK; elsewhere this does
	// nothing.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err)
	}
	spec, err := loadCputime()
	if err != nil {
		return nil, err
	}
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	spec.Maps[cputimeMapCpus].MaxEntries = uint32(n)
	spec.Maps[cputimeMapProcs].MaxEntries = uint32(4096 + 256*n)
	if err := spec.Variables[cputimeVarPollingStates].Set(c.PollingStates); err != nil {
		return nil, err
	}
	if !traceIdle {
		if err := spec.Variables[cputimeVarIdleTraced].Set(uint8(0)); err != nil {
			return nil, err
		}
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load the CPU time programs: %w", err)
	}
	t := &Tracer{idleTraced: traceIdle, progs: map[string]*ebpf.Program{}, procs: coll.DetachMap(cputimeMapProcs)}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	for name := range spec.Programs {
		t.progs[name] = coll.DetachProgram(name)
	}
	cpus := coll.DetachMap(cputimeMapCpus)
	coll.Close()
	t.memory, err = mapCPUs(cpus, n)
	cpus.Close() // the mapping keeps the map
	if err != nil {
		return nil, err
	}
	size := int(t.procs.MaxEntries())
	t.keys = make([]cputimeProcKey, size)
	t.values = make([]cputimeProc, size)
	if err := t.attach(c.without); err != nil {
		return nil, err
	}
	if err := t.seed(c.Online); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tracer) attach(without []string) error {
	for _, a := range attachments {
		if slices.Contains(without, a.tp) {
			continue
		}
		if a.prog == cputimeProgOnCpuIdle && !t.idleTraced {
			continue
		}
		p := t.progs[a.prog]
		if p == nil {
			continue
		}
		var l link.Link
		var err error
		if p.Type() == ebpf.Tracing {
			l, err = link.AttachTracing(link.TracingOptions{Program: p})
		} else {
			l, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: a.tp, Program: p})
		}
		switch {
		case err == nil:
			t.links = append(t.links, l)
			t.attached = append(t.attached, a.tp)
		case errors.Is(err, os.ErrNotExist) && a.prog == cputimeProgOnCpuIdle:
			return errNoCPUIdle
		case errors.Is(err, os.ErrNotExist) && a.optional:
		default:
			return fmt.Errorf("attach to tracepoint %s: %w", a.tp, err)
		}
	}
	return nil
}

// seed runs a program once on each CPU, by an interrupt from this one, so that
// a CPU which sleeps has a state too.
func (t *Tracer) seed(online []int) error {
	const onCPU = 1 // BPF_F_TEST_RUN_ON_CPU, include/uapi/linux/bpf.h
	p := t.progs[cputimeProgSeed]
	for _, n := range online {
		_, err := p.Run(&ebpf.RunOptions{Context: [1]uint64{}, Flags: onCPU, CPU: uint32(n)})
		if err != nil && !errors.Is(err, unix.ENXIO) { // ENXIO: went offline meanwhile
			return fmt.Errorf("seed the state of CPU %d: %w", n, err)
		}
	}
	return nil
}

// IdleTraced tells whether halted and idle-busy are told apart.
func (t *Tracer) IdleTraced() bool { return t.idleTraced }

// Tracepoints lists the tracepoints in use.
func (t *Tracer) Tracepoints() []string { return t.attached }

// Close detaches and unloads everything. It may be called twice.
func (t *Tracer) Close() error {
	var errs []error
	for _, l := range t.links {
		errs = append(errs, l.Close())
	}
	for _, p := range t.progs {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if t.procs != nil {
		errs = append(errs, t.procs.Close())
	}
	if t.memory != nil {
		errs = append(errs, t.memory.close())
	}
	*t = Tracer{}
	return errors.Join(errs...)
}
