package cli

import (
	"context"

	"github.com/stackmeter/stackmeter/internal/advise"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/rig/spoil"
)

// planted are the causes that the ways to spoil a rig plant.
var planted = map[string]string{
	"affinity": advise.CPUsApart, "gro-off": advise.GROOff, "small-mtu": advise.SmallMTU,
	"small-buffer": advise.ReceiveWindow, "rate-limit": advise.LinkLimit, "competitor": advise.NotTheStack,
}

func spoilNames() []string {
	var out []string
	for _, k := range spoil.Kinds() {
		out = append(out, k.Name)
	}
	return out
}

// ready makes the built-in rig one on which nothing is to be gained, and spoils it where that is
// asked for. end ends what was started for it.
func (a *adviceRun) ready() (s *advise.Spoilt, end func() error, err error) {
	end = func() error { return nil }
	if _, inside := rig.InUserNamespace(); inside || a.flags.hosts.real() {
		return nil, end, nil // the kernel's threads are not ours to place
	}
	r, err := spoil.Ready(a.bench.Server.PID(), a.bench.Client.PID(), a.bench.Links, a.bench.ServerHello.CPUs)
	if err != nil || a.flags.spoil == "" {
		return nil, end, err
	}
	k, err := spoil.Find(a.flags.spoil)
	if err != nil {
		return nil, end, usage(err)
	}
	s = &advise.Spoilt{
		Kind: k.Name, Words: k.Words, Cause: planted[k.Name], Removable: k.Removable,
		Plant:   func(context.Context) error { return r.Plant(k) },
		Unplant: func(context.Context) error { return r.Unplant(k) },
	}
	return s, r.Close, r.Plant(k)
}
