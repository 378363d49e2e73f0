// Package vm makes a machine to order: a QEMU guest with as many CPUs, NUMA nodes,
// PCI bridges and NICs as asked for, whose init is this program. The guest's kernel is a
// stock one, its only files are this program and the kernel's modules that the NICs need;
// it runs one command and powers off. Output, exit code and a directory of results come
// back over virtio-serial.
//
// It is where code for interrupts, queues, receive hashing, PCI topology and CPU hotplug
// meets a real kernel with real (emulated) PCI devices, on a machine that has none of
// them to spare. Under KVM speeds are those of virtual NICs; without KVM, QEMU interprets
// every instruction (TCG) and the guest is functional only: its speeds mean nothing.
//
// A guest and all that belongs to it ends with the process that started it. QEMU runs in a
// network namespace of its own, in which the taps of the NICs and the bridges between them
// live; nothing of the machine's own network is touched.
package vm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackmeter/stackmeter/internal/host"
)

// Config is the machine. Normalize fills in what is zero.
type Config struct {
	CPUs        int    // virtual CPUs, one socket a node; default 2
	MemoryBytes int64  // default 1 GiB
	Nodes       int    // NUMA nodes, over which CPUs and memory are spread evenly; default 1
	NICs        []NIC  // in the order of their names
	Bridges     []Bus  // for NICs to share
	Kernel      string // a vmlinuz, or a Debian linux-image package; default: see [FindKernel]
	Modules     string // directory of the kernel's modules, where Kernel is a vmlinuz; default /lib/modules/RELEASE
	Accel       Accel  // default: KVM where it is usable, else TCG
}

// NIC is a network card of the guest.
type NIC struct {
	Name   string // in the guest, e.g. "srv0"
	Driver string // one of Drivers; default "virtio"
	Queues int    // queue pairs; "virtio" alone has more than one; default 1
	Bridge string // name of the Bus that it is in, "" for a slot of its own
	// Segment is the network that the card is plugged into: all NICs of a segment see each
	// other. 0 is a network of its own: there is a carrier and nobody else.
	Segment int
}

// Bus is a conventional PCI bus behind a PCI Express port, at a root of its own on a node.
type Bus struct {
	Name string
	Node int
}

// Drivers are the kinds of NICs, by the name of the driver that the guest's kernel has for
// them; e100 is Intel's 8255x, the NIC of many machines of 2002.
var Drivers = []string{"virtio", "e1000", "e1000e", "e100", "igb", "vmxnet3"}

// devices are QEMU's names of them.
var devices = map[string]string{
	"virtio": "virtio-net-pci", "e1000": "e1000", "e1000e": "e1000e", "e100": "i82559er", "igb": "igb", "vmxnet3": "vmxnet3",
}

// modules are the kernel's names of their drivers.
var modules = map[string]string{
	"virtio": "virtio_net", "e1000": "e1000", "e1000e": "e1000e", "e100": "e100", "igb": "igb", "vmxnet3": "vmxnet3",
}

// conventional reports whether a card is of PCI rather than PCI Express.
func (n NIC) conventional() bool { return n.Driver == "e1000" || n.Driver == "e100" }

// Roles are the roles that a program which runs guests must dispatch.
func Roles() map[string]func() int {
	return map[string]func() int{GuestRole: Guest, LaunchRole: Launch}
}

// Limits of a machine: what QEMU's q35 takes and what makes sense in a guest.
const (
	maxCPUs  = 64
	maxNodes = 8
	maxNICs  = 16
)

// Normalize fills in the defaults and refuses what can't be built.
func (c *Config) Normalize() error {
	if c.CPUs == 0 {
		c.CPUs = 2
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 1 << 30
	}
	if c.Nodes == 0 {
		c.Nodes = 1
	}
	switch {
	case c.CPUs < 1 || c.CPUs > maxCPUs:
		return badf("%d CPUs: a guest has 1 to %d", c.CPUs, maxCPUs)
	case c.MemoryBytes < 256<<20:
		return badf("%d bytes of memory: a guest needs 256 MiB or more", c.MemoryBytes)
	case c.Nodes < 1 || c.Nodes > maxNodes || c.Nodes > c.CPUs:
		return badf("%d NUMA nodes: a guest has 1 to %d, and a CPU for each", c.Nodes, maxNodes)
	case len(c.NICs) > maxNICs:
		return badf("%d NICs: a guest has at most %d", len(c.NICs), maxNICs)
	}
	buses := map[string]bool{}
	for _, b := range c.Bridges {
		if b.Name == "" || strings.ContainsAny(b.Name, ",=@: ") || buses[b.Name] {
			return badf("bridge %q: want a name of its own, without ',', '=', '@', ':' and blanks", b.Name)
		}
		if b.Node < 0 || b.Node >= c.Nodes {
			return badf("bridge %s: node %d: the guest has the nodes 0 to %d", b.Name, b.Node, c.Nodes-1)
		}
		buses[b.Name] = true
	}
	names := map[string]bool{}
	for i := range c.NICs {
		n := &c.NICs[i]
		if n.Driver == "" {
			n.Driver = "virtio"
		}
		if n.Queues == 0 {
			n.Queues = 1
		}
		switch {
		case !slices.Contains(Drivers, n.Driver):
			return badf("NIC %s: %q is no driver: want one of %s", n.Name, n.Driver, strings.Join(Drivers, ", "))
		case n.Queues < 1 || n.Queues > 16:
			return badf("NIC %s: %d queues: want 1 to 16", n.Name, n.Queues)
		case n.Queues > 1 && n.Driver != "virtio":
			return badf("NIC %s: %d queues: QEMU gives %s one alone (virtio has several)", n.Name, n.Queues, n.Driver)
		case n.Bridge != "" && !buses[n.Bridge]:
			return badf("NIC %s: there is no bridge %q", n.Name, n.Bridge)
		case n.Name == "" || len(n.Name) > 15 || names[n.Name]:
			return badf("NIC name %q: want a name of its own, of 1 to 15 characters", n.Name)
		}
		names[n.Name] = true
	}
	return nil
}

func badf(format string, args ...any) error {
	return fmt.Errorf("guest: %w", fmt.Errorf("%w: "+format, append([]any{host.ErrInput}, args...)...))
}
