package experiment

import (
	"maps"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/agent"
	"github.com/stackmeter/stackmeter/internal/tune"
)

// Prefixes of the factors that are settings of package tune.
const (
	TunePrefix   = "tune."
	ClientPrefix = "client."
)

// tuneFactor is the factor of a setting of package tune; ok says that the name asks for one.
func tuneFactor(name string) (f Factor, ok bool, err error) {
	at := func(c *Config) *map[string]string { return &c.Tune }
	setting, ok := strings.CutPrefix(name, TunePrefix)
	if !ok {
		at = func(c *Config) *map[string]string { return &c.ClientTune }
		if setting, ok = strings.CutPrefix(name, ClientPrefix); !ok {
			return f, false, nil
		}
	}
	d, err := tune.Find(setting)
	if err != nil {
		return f, true, err
	}
	f = Factor{Name: name, Doc: d.Doc + ": " + d.Form + ", or " + LevelAsFound}
	f.Set = found(func(c *Config) { delete(*at(c), setting) }, func(c *Config, level string) (string, error) {
		v, err := d.Canonical(level)
		if err != nil {
			return "", err
		}
		if *at(c) == nil {
			*at(c) = map[string]string{}
		}
		(*at(c))[setting] = v
		return v, nil
	})
	return f, true, nil
}

// clientTune are the client's settings: its own, and the MTU, of which a link has one.
func (c Config) clientTune(b *Bench) map[string]string {
	mtu, ok := c.Tune["mtu"]
	if !ok || !b.OneMachine() {
		return c.ClientTune
	}
	out := maps.Clone(c.ClientTune)
	if out == nil {
		out = map[string]string{}
	}
	out["mtu"] = mtu
	return out
}

// tunings are settings for each NIC, or for the host, by what they are of.
func tunings(settings map[string]string, nics []agent.NICSettings) []agent.Tuning {
	var out []agent.Tuning
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		d, err := tune.Find(name)
		if err != nil {
			continue // Set has refused it
		}
		if d.Scope != tune.NIC {
			out = append(out, agent.Tuning{Setting: name, Value: settings[name]})
			continue
		}
		for _, n := range nics {
			out = append(out, agent.Tuning{Setting: name, Target: n.Name, Value: settings[name]})
		}
	}
	return out
}
