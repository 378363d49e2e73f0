// Package pmu knows the hardware events that explain poor scaling, by processor:
// cycles, instructions retired, lines that leave the second-level cache (the paper's
// L2_cache_lines_out), misses of the last level, and lines that another core's cache held
// modified. Encodings are data with their source; the kernel's sysfs says how a term
// becomes a number.
//
// Most virtual machines have no PMU: [Open] then says so, and what that costs.
package pmu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Event is a hardware event as this machine counts it.
type Event struct {
	Name   string `json:"name"`   // the manufacturer's
	Title  string `json:"title"`  // what it is
	Terms  string `json:"terms"`  // "event=0xf2,umask=0x3", as perf takes them
	Source string `json:"source"` // where the encoding is documented
	Period uint64 `json:"period"` // events a sample
	Type   uint32 `json:"type"`   // of the PMU, for perf_event_open
	Config uint64 `json:"config"`
}

// Open finds the events of the running machine. The error is a
// [host.NotSupportedError] where it has no PMU or no table.
func Open(r host.Root) ([]Event, error) {
	dir, err := corePMU(r.Sys)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(r.Proc, "cpuinfo"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cpu, err := ParseCPUInfo(f)
	if err != nil {
		return nil, err
	}
	return At(dir, cpu)
}

// corePMUs are the names of the cores' own PMUs in sysfs. A hybrid processor's fast
// cores are cpu_core.
var corePMUs = []string{"cpu", "cpu_core", "armv8_*", "armv9_*"}

// corePMU is the directory of the cores' PMU.
func corePMU(sys string) (string, error) {
	root := filepath.Join(sys, "bus", "event_source", "devices")
	for _, name := range corePMUs {
		found, _ := filepath.Glob(filepath.Join(root, name))
		for _, dir := range found {
			if _, err := os.Stat(filepath.Join(dir, "format")); err == nil {
				return dir, nil
			}
		}
	}
	return "", &host.NotSupportedError{
		What:   "hardware events",
		Reason: "this machine shows the kernel no PMU, as most virtual machines: cache lines that move between CPUs can't be counted by function",
		Mend:   "use a machine of its own, or a virtual machine with a virtual PMU (QEMU: -cpu host,pmu=on; clouds: bare metal or dedicated instances); what the passes flow, frame and lock show explains scaling without it",
	}
}

// At finds the events of a processor whose PMU sysfs describes in dir.
func At(dir string, c CPU) ([]Event, error) {
	formats, err := readFormats(filepath.Join(dir, "format"))
	if err != nil {
		return nil, err
	}
	number, err := os.ReadFile(filepath.Join(dir, "type"))
	if err != nil {
		return nil, err
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(number)), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%s: type %q is no number", dir, number)
	}
	var out []Event
	for _, e := range table {
		if !e.on(c) {
			continue
		}
		config, err := formats.Encode(e.terms)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.name, err)
		}
		out = append(out, Event{e.name, e.title, e.terms, e.source, e.period, uint32(kind), config})
	}
	if len(out) == 0 {
		return nil, &host.NotSupportedError{
			What: "hardware events", Reason: fmt.Sprintf("there is no table of events for this processor (%s)", c),
			Mend: "the events of its family can be added to the table in internal/profile/pmu",
		}
	}
	return out, nil
}

func readFormats(dir string) (Formats, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: the kernel does not say how its events are encoded", dir)
	}
	if err != nil {
		return nil, err
	}
	out := Formats{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		f, err := ParseFormat(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
		out[e.Name()] = f
	}
	return out, nil
}
