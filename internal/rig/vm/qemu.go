package vm

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/selfexec"
)

// portFD is the descriptor of the guest's port in QEMU.
const portFD = 3

// hardware is the address of NIC n.
func hardware(n int) string { return fmt.Sprintf("52:54:00:73:6d:%02x", n) }

func tapName(n int) string { return fmt.Sprintf("tap%d", n) }

// arguments are QEMU's for a machine.
func arguments(c *Config, accel Accel, k Kernel, initrd, console string) []string {
	a := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-name", "stackmeter",
		"-machine", "q35", "-m", fmt.Sprintf("%dM", c.MemoryBytes>>20),
		"-kernel", k.Image, "-initrd", initrd,
		"-append", fmt.Sprintf("console=ttyS0 rdinit=/init panic=-1 loglevel=6 net.ifnames=0 %s", selfexec.Environment(GuestRole)),
		"-serial", "file:" + console,
		"-device", "virtio-serial-pci,bus=pcie.0",
		"-chardev", fmt.Sprintf("socket,id=port,fd=%d", portFD),
		"-device", "virtserialport,chardev=port,name=" + portName,
	}
	if accel == KVM {
		a = append(a, "-accel", "kvm", "-cpu", "host")
	} else {
		a = append(a, "-accel", "tcg,thread=multi", "-cpu", "max")
	}
	a = append(a, nodes(c)...)
	buses := map[string]int{}
	for i, b := range c.Bridges {
		buses[b.Name] = i
		root := fmt.Sprintf("pxb-pcie,id=root%d,bus=pcie.0,bus_nr=%d", i, 32*(i+1))
		if c.Nodes > 1 {
			root += fmt.Sprintf(",numa_node=%d", b.Node)
		}
		a = append(
			a, "-device", root,
			"-device", fmt.Sprintf("pcie-root-port,id=port%d,bus=root%d,chassis=%d,slot=0", i, i, 100+i),
			"-device", fmt.Sprintf("pcie-pci-bridge,id=bus%d,bus=port%d", i, i),
		)
	}
	taken := map[int]int{}
	for i, n := range c.NICs {
		net := fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no,vhost=off", i, tapName(i))
		card := fmt.Sprintf("%s,netdev=net%d,mac=%s", devices[n.Driver], i, hardware(i))
		if n.Queues > 1 {
			net += fmt.Sprintf(",queues=%d", n.Queues)
			// A vector for each queue, for changes of the configuration and for the control queue.
			card += fmt.Sprintf(",mq=on,rss=on,hash=on,vectors=%d", 2*n.Queues+2)
		}
		if b, in := buses[n.Bridge]; in {
			taken[b]++ // slot 0 is the bus's own
			card += fmt.Sprintf(",bus=bus%d,addr=%d", b, taken[b])
		} else if n.conventional() {
			card += ",bus=pcie.0"
		} else {
			a = append(a, "-device", fmt.Sprintf("pcie-root-port,id=slot%d,bus=pcie.0,chassis=%d,slot=0", i, 10+i))
			card += fmt.Sprintf(",bus=slot%d", i)
		}
		a = append(a, "-netdev", net, "-device", card)
	}
	return a
}

// nodes spreads CPUs and memory over the NUMA nodes.
func nodes(c *Config) []string {
	sockets := c.Nodes
	if c.CPUs%c.Nodes != 0 {
		sockets = 1
	}
	a := []string{"-smp", fmt.Sprintf("%d,sockets=%d,cores=%d,threads=1", c.CPUs, sockets, c.CPUs/sockets)}
	if c.Nodes == 1 {
		return a
	}
	left := c.MemoryBytes >> 20
	for n := range c.Nodes {
		size := left / int64(c.Nodes-n)
		left -= size
		a = append(
			a, "-object", fmt.Sprintf("memory-backend-ram,id=mem%d,size=%dM", n, size),
			"-numa", fmt.Sprintf("node,nodeid=%d,cpus=%d-%d,memdev=mem%d", n, n*c.CPUs/c.Nodes, (n+1)*c.CPUs/c.Nodes-1, n),
		)
	}
	return a
}
