package cli

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/ustack"
)

// stackFlags are those of the engine ustack.
func (f *runFlags) stackFlags(fl *pflag.FlagSet) {
	s := &f.config.Stack
	fl.StringVar(&s.Ends, "stack-ends", "", "`WHICH` ends run on the stack: server (default; it accepts connections, and receives but in maerts), client, both; the other runs on the kernel")
	fl.StringVar(&s.Device, "stack-device", "", "`DEVICE`: "+strings.Join(load.StackDevices, ", ")+"; default: tun on the built-in rig, else packet")
	fl.IntVar(&s.Queues, "stack-queues", 0, "queues of the device, each with a shard of the stack; default 1")
	fl.BoolVar(&s.NoOffload, "stack-no-offload", false, "frames as on a wire; default: segments up to 64 KiB cross the device")
	techniqueFlag(fl, &s.Techniques)
	fl.Var(&value{kind: "ADDRESS/LEN", read: func(v string) error {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return fmt.Errorf("%q: write an address with the length of its subnet's prefix, as 192.0.2.10/24", v)
		}
		s.Addresses = append(s.Addresses, p)
		return nil
	}}, "stack-address", "between hosts: the stack's own address, which nobody has; one for each host that runs it, senders first; repeatable")
	fl.Var(&value{kind: "ADDRESS", read: func(v string) (err error) {
		s.Gateway, err = netip.ParseAddr(v)
		return err
	}}, "stack-gateway", "between hosts: the router to other subnets; default: none")
}

// techniqueFlag takes NAME=VALUE, several with commas between them.
func techniqueFlag(fl *pflag.FlagSet, to *map[string]string) {
	var known []string
	for _, t := range ustack.TechniqueNames() {
		k := t.Name
		if len(t.Values) > 0 {
			k += "=" + strings.Join(t.Values, "|")
		}
		known = append(known, k)
	}
	fl.Var(&value{kind: "NAME=VALUE,...", read: func(v string) error {
		for _, part := range strings.Split(v, ",") {
			name, level, ok := strings.Cut(strings.TrimSpace(part), "=")
			if !ok {
				return fmt.Errorf("%q: write NAME=VALUE, as gather=1", part)
			}
			var try ustack.Techniques
			if err := try.Set(name, level); err != nil {
				return err
			}
			if *to == nil {
				*to = map[string]string{}
			}
			(*to)[name] = level
		}
		return nil
	}}, "technique", "switch of the stack, repeatable: "+strings.Join(known, ", ")+"; the first is the default")
}
