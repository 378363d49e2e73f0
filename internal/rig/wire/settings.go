package wire

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/unit"
)

// Settings are what the hardware is like. The zero value is a cable without limit, NICs that
// interrupt for each frame unless one is being served, and buses that limit nothing.
type Settings struct {
	LinkRate      float64 // bits per second each way, with Ethernet's overhead; 0: no limit
	InterruptRate int     // interrupts a second of each NIC at most; 0: no throttling
	BusRate       float64 // bits per second of frames, both ways together, over each bus
	NICsPerBus    int     // NICs of the server on a bus: 0: buses limit nothing; 2: 0 and 1 share one, 2 and 3, ...
	Merge         [2]bool // by side: the NICs join TCP segments of an interrupt, as GRO does
	CPUs          []int   // to which an interrupt may go that is not routed
}

// Ethernet with the e1000 driver's throttling as it comes (InterruptThrottleRate=8000), and a bus that two such
// NICs more than fill.
const (
	DefaultLinkRate      = 1e9
	DefaultInterruptRate = 8000
	DefaultBusRate       = 700e6
)

func (s *Settings) validate() error {
	switch {
	case s.LinkRate < 0 || s.LinkRate > 0 && s.LinkRate < 1e6 || s.LinkRate > 1e12:
		return fmt.Errorf("link rate %s: want 1 Mb/s to 1 Tb/s, or 0 for no limit", unit.BitRate(s.LinkRate))
	case s.InterruptRate < 0 || s.InterruptRate > 1e6:
		return fmt.Errorf("interrupt rate %d: want 1 to 1000000 a second, or 0 for no throttling", s.InterruptRate)
	case s.NICsPerBus < 0 || s.NICsPerBus > 0 && (s.BusRate < 1e6 || s.BusRate > 1e12):
		return fmt.Errorf("%d NICs a bus of %s: want none, or buses of 1 Mb/s to 1 Tb/s", s.NICsPerBus, unit.BitRate(s.BusRate))
	}
	return nil
}

// Set puts settings into force, and takes all routes back.
func (r *Rig) Set(s Settings) error {
	if err := s.validate(); err != nil {
		return err
	}
	return r.memory.set(s)
}
