package experiment

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/rig/wire"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/internal/unit"
)

// Bus says which of the server's NICs share a bus.
type Bus string

const (
	BusAsFound  Bus = "as-found"
	BusSeparate Bus = "separate" // each has one for itself
	BusShared   Bus = "shared"   // two by two: the first and the second, the third and the fourth
)

// WireConfig is the hardware of the rig wire. The zero value is as found.
type WireConfig struct {
	LinkRate      float64 // bits per second; 0: as found; +Inf: no limit
	InterruptRate int     // a second, of each NIC; 0: as found; -1: no throttling
	Bus           Bus
	BusRate       float64 // bits per second; 0: as found
}

// asFound reports whether nothing is asked for.
func (w WireConfig) asFound() bool {
	return w.LinkRate == 0 && w.InterruptRate == 0 && (w.Bus == "" || w.Bus == BusAsFound) && w.BusRate == 0
}

// settings are the rig's, with the CPUs in use.
func (w WireConfig) settings(cpus []int) wire.Settings {
	s := wire.Settings{
		LinkRate: wire.DefaultLinkRate, InterruptRate: wire.DefaultInterruptRate, BusRate: wire.DefaultBusRate,
		NICsPerBus: map[Bus]int{BusSeparate: 1, BusShared: 2}[w.Bus], CPUs: cpus,
	}
	switch {
	case math.IsInf(w.LinkRate, 1):
		s.LinkRate = 0
	case w.LinkRate > 0:
		s.LinkRate = w.LinkRate
	}
	if w.InterruptRate != 0 {
		s.InterruptRate = max(0, w.InterruptRate)
	}
	if w.BusRate > 0 {
		s.BusRate = w.BusRate
	}
	return s
}

func wireFactors() []Factor {
	return []Factor{
		{"link_rate", "of the rig wire's cables: as-found (1Gbit), unlimited, or a rate such as 2.5Gbit", func(c *Config, level string) (string, error) {
			if level == "unlimited" {
				c.Wire.LinkRate = math.Inf(1)
				return level, nil
			}
			return bitRate(&c.Wire.LinkRate, level)
		}},
		{"interrupt_rate", "of the rig wire's NICs: interrupts a second at most, 0 for no throttling, as-found (8000)", func(c *Config, level string) (string, error) {
			if level == LevelAsFound {
				c.Wire.InterruptRate = 0
				return level, nil
			}
			n, err := strconv.Atoi(level)
			if err != nil || n < 0 || n > 1e6 {
				return "", fmt.Errorf("%q: want as-found, 0 or a number up to 1000000", level)
			}
			c.Wire.InterruptRate = n
			if n == 0 {
				c.Wire.InterruptRate = -1
			}
			return strconv.Itoa(n), nil
		}},
		{
			"bus", "as-found (the rig wire: without limit), separate (each of the server's NICs on a bus of its own) or shared (two by two)",
			choice(func(c *Config) *Bus { return &c.Wire.Bus }, BusAsFound, BusSeparate, BusShared),
		},
		{"bus_rate", "of each of the rig wire's buses, both ways together: as-found (700Mbit) or a rate such as 4.2Gbit", func(c *Config, level string) (string, error) {
			return bitRate(&c.Wire.BusRate, level)
		}},
	}
}

// bitRate reads a rate, or as-found, and returns its canonical form: 2.5Gbit.
func bitRate(to *float64, level string) (string, error) {
	if level == LevelAsFound {
		*to = 0
		return level, nil
	}
	v, err := unit.ParseBitRate(level)
	if err != nil {
		return "", err
	}
	if v < 1e6 || v > 1e12 {
		return "", fmt.Errorf("%q: want 1Mbit to 1000Gbit", level)
	}
	*to = v
	if v >= 1e9 {
		return strconv.FormatFloat(v/1e9, 'f', -1, 64) + "Gbit", nil
	}
	return strconv.FormatFloat(v/1e6, 'f', -1, 64) + "Mbit", nil
}

// WireBench builds the rig of NICs in software with as many NICs as the plan needs. The caller
// closes it.
func WireBench(ctx context.Context, p *Plan) (b *Bench, err error) {
	n, err := p.MaxNICs()
	if err != nil {
		return nil, err
	}
	b = &Bench{Kind: KindWire, Links: rig.Plan(n)}
	defer func() {
		if err != nil {
			_ = b.Close() // nothing was set yet
			b = nil
		}
	}()
	if err = b.spawn(ctx); err != nil {
		return b, err
	}
	// Whoever may do nothing else may route these NICs' interrupts.
	b.ServerHello.Lost = slices.DeleteFunc(b.ServerHello.Lost, func(l agent.Limit) bool { return l.What == "irq-affinity" })
	b.wire, err = wire.Start(b.Server.PID(), b.Client.PID(), b.Links, b.ServerHello.CPUs)
	return b, err
}

// reference is how the agent of a side reaches the interrupts of its NICs; nil on other rigs.
func (b *Bench) reference(s wire.Side) *wire.Ref {
	if b.wire == nil {
		return nil
	}
	ref := b.wire.Interrupts(s)
	return &ref
}

// setWire puts the hardware's settings into force, and records them.
func (b *Bench) setWire(c Config, cpus []int, rec *trial.Trial) error {
	if b.wire == nil {
		return nil
	}
	if err := b.wire.Lives(); err != nil {
		return err
	}
	s := c.Wire.settings(cpus)
	s.Merge = [2]bool{wire.Server: c.GRO || c.GROAsFound, wire.Client: true} // such NICs join unless they are told not to
	if err := b.wire.Set(s); err != nil {
		return err
	}
	link, rate, bus, joins := "unlimited", "unthrottled", "without limit", "no"
	if s.LinkRate > 0 {
		link = unit.BitRate(s.LinkRate)
	}
	if s.InterruptRate > 0 {
		rate = unit.Rate(float64(s.InterruptRate))
	}
	switch s.NICsPerBus {
	case 1:
		bus = "one each, of " + unit.BitRate(s.BusRate)
	case 2:
		bus = "two by two, of " + unit.BitRate(s.BusRate)
	}
	if s.Merge[wire.Server] {
		joins = "yes"
	}
	priority := "real-time"
	if !b.wire.RealTime() {
		priority = "the scheduler's, with short slices"
	}
	for _, k := range [][2]string{{"link-rate", link}, {"interrupt-rate", rate}, {"bus", bus}, {"joins-segments", joins}, {"interrupt-priority", priority}} {
		rec.Knobs = append(rec.Knobs, trial.Knob{Name: k[0], Target: "wire", Value: k[1], Mechanism: "wire"})
	}
	return nil
}

// groupWire is the group of CPU time that hardware would not take.
const groupWire = "wire"

// warnWire names what of the whole machine's CPU time no NIC would take.
func (b *Bench) warnWire(cpu trial.CPU) []trial.Warning {
	total := float64(cpu.Online) * cpu.WindowSeconds
	if total <= 0 {
		return nil
	}
	return []trial.Warning{{Code: "hardware-in-software", Text: fmt.Sprintf(
		"%.1f %% of the CPUs moved frames between the NICs, which stands in for hardware: figures of the whole machine include it, the server's do not", 100*cpu.Groups[groupWire]/total)}}
}
