package experiment

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stackmeter/stackmeter/internal/load"
	"github.com/stackmeter/stackmeter/internal/trial"
	"github.com/stackmeter/stackmeter/ustack"
)

// StackPrefix begins the names of the factors that are techniques of package ustack:
// "stack_gather".
const StackPrefix = "stack_"

// defaultStackDevice attaches to the rig's NICs, beside the kernel.
const defaultStackDevice = "packet"

// stackFactors are the device of the engine ustack and its techniques.
func stackFactors() []Factor {
	out := []Factor{{
		StackPrefix + "device", fmt.Sprintf("of the engine ustack: one of %v; default %s", load.StackDevices, defaultStackDevice),
		choice(func(c *Config) *string { return &c.StackDevice }, load.StackDevices...),
	}}
	for _, t := range ustack.TechniqueNames() {
		out = append(out, Factor{StackPrefix + t.Name, "of the engine ustack: " + t.Doc, func(c *Config, level string) (string, error) {
			var all ustack.Techniques
			if err := all.Set(t.Name, level); err != nil {
				return "", err
			}
			if c.Techniques == nil {
				c.Techniques = map[string]string{}
			}
			c.Techniques[t.Name] = all.Strings()[t.Name]
			return c.Techniques[t.Name], nil
		}})
	}
	return out
}

// onStack makes the server's end of a load the stack's, on its own address of each NIC.
// The client's is the kernel's: the stack's peer, as in the paper the load generator was.
func (b *Bench) onStack(c Config, server, client *load.Spec) {
	server.Stack = &load.StackSpec{Device: c.StackDevice, NoOffload: true, Techniques: c.Techniques}
	if server.Stack.Device == "" {
		server.Stack.Device = defaultStackDevice
	}
	for nic, l := range b.Links[:c.NICs] {
		server.Stack.Links = append(server.Stack.Links, load.StackLink{NIC: nic, Interface: l.Server.Name, Address: l.Server.Stack(), Own: true})
	}
	client.Engine = "kernel"
}

// stacksInForce are the techniques of the server's stacks as these told of them. One that
// is not as it was asked for makes the trial an error.
func stacksInForce(c Config, stacks []load.StackInfo) ([]trial.Knob, error) {
	var out []trial.Knob
	for _, st := range stacks {
		for _, name := range slices.Sorted(maps.Keys(st.Techniques)) {
			is := st.Techniques[name]
			if want, asked := c.Techniques[name]; asked && want != is {
				return nil, fmt.Errorf("stack of NIC %d: the technique %s is %s, %s was asked for", st.NIC, name, is, want)
			}
			out = append(out, trial.Knob{
				Name: "stack-" + name, Target: fmt.Sprintf("server:stack%d", st.NIC), Value: is, Mechanism: load.Ustack + " over " + st.Device,
			})
		}
	}
	if c.Engine == load.Ustack && len(stacks) < c.NICs {
		return nil, fmt.Errorf("%d stacks told what was in force, %d were to run", len(stacks), c.NICs)
	}
	return out, nil
}
