package experiment

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/load"
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
		server.Stack.Links = append(server.Stack.Links, load.StackLink{NIC: nic, Interface: l.Server.Name, Address: l.Server.Stack()})
	}
	client.Engine = "kernel"
}
