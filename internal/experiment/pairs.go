package experiment

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Factors of the pairs of CPUs (the paper's Figure 8).
const (
	FactorIRQCPU     = "irq_cpu"
	FactorProcessCPU = "process_cpu"
)

// Chosen is a CPU chosen by its number. The zero value is none.
type Chosen struct {
	CPU int
	Is  bool
}

// pairFactors choose the CPUs of the last NIC. With them the other NICs' receive work and processes
// are on the first CPU in use, as those of the paper's first NIC.
func pairFactors() []Factor {
	chosen := func(at func(*Config) *Chosen) func(*Config, string) (string, error) {
		return func(c *Config, level string) (string, error) {
			if level == LevelAsFound {
				*at(c) = Chosen{}
				return level, nil
			}
			n, err := strconv.Atoi(level)
			if err != nil || n < 0 || n > 1<<16 {
				return "", fmt.Errorf("%q: want %s or a CPU's number", level, LevelAsFound)
			}
			*at(c) = Chosen{n, true}
			return strconv.Itoa(n), nil
		}
	}
	return []Factor{
		{
			FactorIRQCPU, "CPU of the last NIC's receive work, the other NICs' being on the first CPU: a number, or all",
			chosen(func(c *Config) *Chosen { return &c.IRQCPU }),
		},
		{
			FactorProcessCPU, "CPU of the last NIC's server process, the other NICs' being on the first CPU: a number, or all",
			chosen(func(c *Config) *Chosen { return &c.ProcessCPU }),
		},
	}
}

// of is the CPU of NIC nic, where the last NIC's is chosen.
func (ch Chosen) of(c Config, nic int, cpus []int) (cpu int, ok bool) {
	if !ch.Is {
		return 0, false
	}
	if nic == c.NICs-1 {
		return ch.CPU, true
	}
	return cpus[0], true
}

// PinsIRQ reports whether the configuration fixes the CPU of the NICs' receive work.
func (c Config) PinsIRQ() bool { return c.Affinity.PinsIRQ() || c.IRQCPU.Is }

// PinsProcess reports whether it fixes the CPU of the server's processes.
func (c Config) PinsProcess() bool { return c.Affinity.PinsProcess() || c.ProcessCPU.Is }

// checkPair refuses two choices of one thing.
func (c Config) checkPair() error {
	if (c.IRQCPU.Is || c.ProcessCPU.Is) && c.Affinity != AffinityNone {
		return fmt.Errorf("%s and %s place what affinity %s places too: leave one of them out", FactorIRQCPU, FactorProcessCPU, c.Affinity)
	}
	return nil
}

// inUse refuses a chosen CPU that is none of those in use.
func (c Config) inUse(cpus []int) error {
	var errs []error
	for _, x := range []struct {
		factor string
		Chosen
	}{{FactorIRQCPU, c.IRQCPU}, {FactorProcessCPU, c.ProcessCPU}} {
		if x.Is && !slices.Contains(cpus, x.CPU) {
			errs = append(errs, fmt.Errorf("%s: %d is none of the CPUs in use, %v", x.factor, x.CPU, cpus))
		}
	}
	return errors.Join(errs...)
}
