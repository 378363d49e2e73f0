package host

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Interrupt is a numbered line of /proc/interrupts.
type Interrupt struct {
	IRQ     int
	Counts  map[int]uint64 // by CPU number; CPUs that are offline are absent
	Actions []string       // names of the handlers, as the drivers gave them
}

// ParseInterrupts reads /proc/interrupts (show_interrupts in
// kernel/irq/proc.c). There is a column for each CPU that is online at that moment
// and no other: counts are keyed by CPU number, and two readings on both sides of a
// hotplug have different keys. Lines without a number (NMI, LOC, ...) are left out.
func ParseInterrupts(r io.Reader) ([]Interrupt, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20) // a line has 11 bytes a CPU
	if !sc.Scan() {
		if err := sc.Err(); err != nil {
			return nil, fmt.Errorf("interrupts: %w", err)
		}
		return nil, fmt.Errorf("interrupts: %w", io.ErrUnexpectedEOF)
	}
	var cpus []int
	for _, f := range strings.Fields(sc.Text()) {
		n, err := strconv.Atoi(strings.TrimPrefix(f, "CPU"))
		if err != nil || n < 0 {
			return nil, fmt.Errorf("interrupts: column %q is no CPU", f)
		}
		cpus = append(cpus, n)
	}
	var all []Interrupt
	for sc.Scan() {
		label, rest, ok := strings.Cut(sc.Text(), ":")
		irq, err := strconv.Atoi(strings.TrimSpace(label))
		if !ok || err != nil || irq < 0 {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < len(cpus) {
			return nil, fmt.Errorf("interrupts: line %d has %d columns for %d CPUs", irq, len(fields), len(cpus))
		}
		in := Interrupt{IRQ: irq, Counts: make(map[int]uint64, len(cpus))}
		for i, c := range cpus {
			if in.Counts[c], err = strconv.ParseUint(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("interrupts: line %d: %q is no count", irq, fields[i])
			}
		}
		in.Actions = actions(fields[len(cpus):])
		all = append(all, in)
	}
	return all, sc.Err()
}

// actions finds the handlers' names behind chip, hardware number and trigger
// ("PCI-MSIX-0000:00:03.0 1-edge virtio2-input.0"). Names can hold blanks and are
// divided by ", "; the fields before them vary by chip, so they are counted off from
// the trigger ("-edge", "-fasteoi", "Edge", "Level") where there is one.
func actions(fields []string) []string {
	for i, f := range fields {
		low := strings.ToLower(f)
		if strings.HasSuffix(low, "edge") || strings.HasSuffix(low, "level") || strings.HasSuffix(low, "fasteoi") {
			fields = fields[i+1:]
			if len(fields) == 0 {
				return nil
			}
			return strings.Split(strings.Join(fields, " "), ", ")
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return fields[len(fields)-1:]
}

// Interrupts reads the host's /proc/interrupts.
func (r Root) Interrupts() ([]Interrupt, error) {
	f, err := os.Open(filepath.Join(r.Proc, "interrupts"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseInterrupts(f)
}

// InterruptTotals counts how often each interrupt has come on the CPUs that are online.
func (r Root) InterruptTotals() (map[int]uint64, error) {
	all, err := r.Interrupts()
	if err != nil {
		return nil, err
	}
	out := make(map[int]uint64, len(all))
	for _, i := range all {
		for _, n := range i.Counts {
			out[i.IRQ] += n
		}
	}
	return out, nil
}

// IRQAffinity returns the CPUs an interrupt may go to and those it does go to
// (/proc/irq/N/smp_affinity_list and effective_affinity_list). The second follows the first
// only at the next interrupt on most controllers, and is nil on kernels without it.
func (r Root) IRQAffinity(irq int) (allowed, effective CPUList, err error) {
	dir := filepath.Join(r.Proc, "irq", strconv.Itoa(irq))
	s, err := text(dir, "smp_affinity_list")
	if err != nil {
		return nil, nil, err
	}
	if allowed, err = ParseCPUList(s); err != nil {
		return nil, nil, fmt.Errorf("interrupt %d: %w", irq, err)
	}
	if s, err = text(dir, "effective_affinity_list"); err == nil {
		effective, err = ParseCPUList(s)
		if err != nil {
			return nil, nil, fmt.Errorf("interrupt %d: %w", irq, err)
		}
	}
	return allowed, effective, nil
}
