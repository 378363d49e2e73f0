package experiment

import (
	"fmt"
	"slices"

	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/topo"
	"github.com/stackmeter/stackmeter/internal/trial"
)

// links are those that a configuration uses: the first ones, or, on hosts whose NICs were given,
// those that share a bus or do not. The error says why there are none.
func (b *Bench) links(c Config) ([]rig.Link, error) {
	if c.NICs > len(b.Links) {
		return nil, fmt.Errorf("it needs %d NICs, there are %d", c.NICs, len(b.Links))
	}
	if b.buses == nil || c.Wire.Bus == "" || c.Wire.Bus == BusAsFound {
		return b.Links[:c.NICs], nil
	}
	chosen, err := chooseByBus(b.buses, c.NICs, c.Wire.Bus)
	if err != nil {
		return nil, err
	}
	var out []rig.Link
	for _, i := range chosen {
		out = append(out, b.Links[i])
	}
	return out, nil
}

// on is the bench with these links alone.
func (b *Bench) on(links []rig.Link) *Bench {
	c := *b
	c.Links = links
	return &c
}

// chooseByBus picks n of the NICs whose buses are given. Separate ones share none; of shared ones
// two share one and the others none, as in the paper's Tables 12 and 13. A NIC without a bus ("") is
// not chosen.
func chooseByBus(buses []string, n int, bus Bus) ([]int, error) {
	var chosen []int
	taken := map[string]bool{}
	if bus == BusShared {
		for i, name := range buses {
			j := slices.Index(buses[:i], name)
			if name != "" && j >= 0 {
				chosen, taken[name] = []int{j, i}, true
				break
			}
		}
		if chosen == nil || n < 2 {
			return nil, fmt.Errorf("no two of the NICs given share a PCI link or bus (%s)", said(buses))
		}
	}
	for i, name := range buses {
		if len(chosen) < n && name != "" && !taken[name] {
			chosen, taken[name] = append(chosen, i), true
		}
	}
	if len(chosen) < n {
		return nil, fmt.Errorf("of the NICs given, %d are on PCI links or buses of their own, and %d are needed (%s)", len(taken), n, said(buses))
	}
	return chosen, nil
}

func said(buses []string) string {
	text := ""
	for i, name := range buses {
		if name == "" {
			name = "no PCI device"
		}
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("NIC %d: %s", i+1, name)
	}
	return text
}

// findBuses learns where the NICs given sit.
func (b *Bench) findBuses() error {
	m, err := topo.Live()
	if err != nil {
		return fmt.Errorf("where the NICs sit: %w", err)
	}
	b.buses = []string{}
	for _, l := range b.Links {
		b.buses = append(b.buses, m.Bus(l.Server.Name))
	}
	return nil
}

// recordBuses tells where the NICs in use sit.
func (b *Bench) recordBuses(links []rig.Link, rec *trial.Trial) {
	for _, l := range links {
		i := slices.Index(b.Links, l)
		if i < len(b.buses) && b.buses[i] != "" {
			rec.Knobs = append(rec.Knobs, trial.Knob{Name: "bus", Target: "server:" + l.Server.Name, Value: b.buses[i], Mechanism: "pci"})
		}
	}
}
