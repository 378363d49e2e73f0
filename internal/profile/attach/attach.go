// Package attach loads BPF programs on tracepoints and switches them on and off.
//
// A program is named after its pass and tracepoint: light_napi_poll is on the
// tracepoint napi_poll in the pass "light". Programs are loaded one by one: what this
// kernel does not have, or refuses, is left out and said ([Set.Missing]), so that an
// older kernel gives what it can.
//
// Nothing is pinned: when the process dies, however it dies, the kernel takes
// programs, maps and links away.
package attach

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Missing is a tracepoint that can't be had here.
type Missing struct {
	Pass       string `json:"pass"`
	Tracepoint string `json:"tracepoint"`
	Reason     string `json:"reason"`
}

// Set is a loaded object.
type Set struct {
	Maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
	links    []link.Link
	missing  []Missing
}

// Load loads the maps and programs of an object, attached to nothing yet. The error
// is a [host.NotSupportedError] where BPF can't be had at all.
func Load(spec *ebpf.CollectionSpec) (_ *Set, err error) {
	s := &Set{Maps: map[string]*ebpf.Map{}, programs: map[string]*ebpf.Program{}}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return s, &host.NotSupportedError{What: "counting by BPF", Reason: "the kernel has no BTF (/sys/kernel/btf/vmlinux)", Mend: "use a kernel built with CONFIG_DEBUG_INFO_BTF"}
	}
	// Kernels before 5.11 charge maps to RLIMIT_MEMLOCK; elsewhere this does nothing.
	if err := rlimit.RemoveMemlock(); err != nil {
		return s, denied(err)
	}
	for name, m := range spec.Maps {
		if strings.HasPrefix(name, ".") {
			continue // a program's own variables
		}
		made, err := ebpf.NewMap(m)
		if err != nil {
			return s, denied(err)
		}
		s.Maps[name] = made
	}
	for _, name := range sorted(spec.Programs) {
		pass, tp, _ := strings.Cut(name, "_")
		if !has(kernel, tp) {
			s.missing = append(s.missing, Missing{pass, tp, "this kernel has no such tracepoint"})
			continue
		}
		p, err := s.load(spec, name)
		switch {
		case errors.Is(err, unix.EPERM):
			return s, denied(err)
		case err != nil:
			s.missing = append(s.missing, Missing{pass, tp, "the kernel refuses the program: " + firstLine(err)})
			continue
		}
		s.programs[name] = p
	}
	if len(s.programs) == 0 {
		return s, &host.NotSupportedError{What: "counting by BPF", Reason: "of " + s.missing[0].Tracepoint + " and all others: " + s.missing[0].Reason, Mend: "use Linux 5.10 or later with CONFIG_BPF_EVENTS"}
	}
	return s, nil
}

func (s *Set) load(spec *ebpf.CollectionSpec, name string) (*ebpf.Program, error) {
	one := spec.Copy()
	one.Programs = map[string]*ebpf.ProgramSpec{name: one.Programs[name]}
	coll, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{MapReplacements: s.Maps})
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	return coll.DetachProgram(name), nil
}

// has tells whether the kernel has a tracepoint: its BTF then has the type of its
// handlers.
func has(kernel *btf.Spec, tracepoint string) bool {
	_, err := kernel.AnyTypeByName("btf_trace_" + tracepoint)
	return err == nil
}

func denied(err error) error {
	return &host.NotSupportedError{
		What: "counting by BPF", Reason: "the kernel refuses (" + firstLine(err) + ")",
		Mend: "run as root (or with CAP_BPF and CAP_PERFMON) outside of a user namespace",
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func sorted(programs map[string]*ebpf.ProgramSpec) []string {
	var out []string
	for name := range programs {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Attach switches a pass's programs on.
func (s *Set) Attach(pass string) error {
	for name, p := range s.programs {
		which, tp, _ := strings.Cut(name, "_")
		if which != pass {
			continue
		}
		var l link.Link
		var err error
		if p.Type() == ebpf.Tracing {
			l, err = link.AttachTracing(link.TracingOptions{Program: p})
		} else {
			l, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: tp, Program: p})
		}
		switch {
		case errors.Is(err, os.ErrNotExist):
			s.drop(name, Missing{pass, tp, "this kernel has no such tracepoint"})
		case err != nil:
			return errors.Join(fmt.Errorf("attach to tracepoint %s: %w", tp, err), s.Detach())
		default:
			s.links = append(s.links, l)
		}
	}
	return nil
}

func (s *Set) drop(name string, m Missing) {
	s.programs[name].Close()
	delete(s.programs, name)
	s.missing = append(s.missing, m)
}

// Detach switches off what is on. The maps stay readable.
func (s *Set) Detach() error {
	done := make(chan error, len(s.links))
	for _, l := range s.links {
		go func() { done <- l.Close() }() // each waits for a grace period
	}
	var errs []error
	for range s.links {
		errs = append(errs, <-done)
	}
	s.links = nil
	return errors.Join(errs...)
}

// Cost is what a program used by the kernel's own count (kernel.bpf_stats_enabled).
type Cost struct {
	Runs, Nanoseconds uint64
}

// Cost by program since loading, as far as counting was on.
func (s *Set) Cost() (map[string]Cost, error) {
	out := map[string]Cost{}
	for name, p := range s.programs {
		st, err := p.Stats()
		if err != nil {
			return nil, fmt.Errorf("run time of %s: %w", name, err)
		}
		out[name] = Cost{st.RunCount, uint64(st.Runtime)}
	}
	return out, nil
}

// Missing says what was left out.
func (s *Set) Missing() []Missing { return s.missing }

// Close detaches and unloads everything. It may be called twice.
func (s *Set) Close() error {
	errs := []error{s.Detach()}
	for _, p := range s.programs {
		errs = append(errs, p.Close())
	}
	for _, m := range s.Maps {
		errs = append(errs, m.Close())
	}
	s.programs, s.Maps = nil, nil
	return errors.Join(errs...)
}
