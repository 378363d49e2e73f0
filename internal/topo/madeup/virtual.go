package madeup

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/topo"
)

// vmware is a guest with two vmxnet3 NICs behind ports of PCI Express that are invented.
func vmware() *topo.Memory {
	b := newBuilder("Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz", "5.14.0-503.el9.x86_64", true)
	b.product("VMware, Inc.", "VMware7,1")
	b.processors(layout{packages: 4, nodes: 1, cores: 1, threads: 1, l3Cores: 1, l2: "1280K", l3: "49152K", gib: 16, near: 10})
	for i := range 2 {
		port := fmt.Sprintf("pci0000:00/0000:00:1%d.0", 5+i)
		b.add(port, bridge(-1, 5, 32, 5, 32))
		d := b.add(fmt.Sprintf("%s/0000:%02x:00.0", port, 3+8*i), function{class: ethernet, id: "15ad:07b0", driver: "vmxnet3", node: -1, gts: 5, width: 32, maxGTs: 5, maxWidth: 32})
		name := fmt.Sprintf("ens%d", 160+32*i)
		b.nic(nic{
			name: name, driver: "vmxnet3", device: d, mbit: 10000, maxMbit: 10000, rx: 4, tx: 4, handler: name + "-rxtx-%d", control: []string{name + "-event-4"},
			cpu: func(q int) int { return q }, rss: 32, ring: 1024, ringMax: 4096, features: usual(),
		})
	}
	return b.done()
}

// ec2 is an instance with an ena NIC of fewer queues than CPUs.
func ec2() *topo.Memory {
	b := newBuilder("CPU implementer\t: 0x41\nCPU part\t: 0xd4f", "6.1.119-129.201.amzn2023.aarch64", false)
	b.product("Amazon EC2", "c8g.4xlarge")
	b.processors(layout{packages: 1, nodes: 1, cores: 16, threads: 1, l3Cores: 16, l2: "2048K", l3: "36864K", gib: 32, near: 10})
	d := b.add("pci0000:00/0000:00:05.0", function{class: ethernet, id: "1d0f:ec20", driver: "ena", node: -1})
	b.nic(nic{
		name: "ens5", driver: "ena", device: d, rx: 8, tx: 8, maxQueues: 16, handler: "ens5-Tx-Rx-%d", control: []string{"ena-mgmnt@pci:0000:00:05.0"},
		cpu: func(q int) int { return q }, rss: 128, ring: 1024, ringMax: 16384, adaptive: true, features: usual(), mtu: 9001,
	})
	return b.done()
}

// gce is an instance with a gve NIC and more queues than CPUs are left online.
func gce() *topo.Memory {
	b := newBuilder("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "6.1.0-28-cloud-amd64", true)
	b.product("Google", "Google Compute Engine")
	b.processors(layout{packages: 1, nodes: 1, cores: 2, threads: 1, l3Cores: 2, l2: "2048K", l3: "107520K", gib: 16, near: 10})
	b.Write("sys/devices/system/cpu/present", "0-3\n")
	d := b.add("pci0000:00/0000:00:04.0", function{class: ethernet, id: "1ae0:0042", driver: "gve", node: -1})
	b.nic(nic{
		name: "ens4", driver: "gve", device: d, rx: 4, tx: 4, maxQueues: 16, handler: "gve-ntfy-blk%d@pci:0000:00:04.0", control: []string{"gve-mgmnt@pci:0000:00:04.0"},
		cpu: func(q int) int { return q % 2 }, rss: 128, ring: 1024, ringMax: 1024, features: usual(), mtu: 1460,
	})
	return b.done()
}

// Large has 256 CPUs in 8 nodes and four NICs with 64 queues each.
func Large() *topo.Memory {
	b := newBuilder("AMD EPYC 9755 128-Core Processor", "6.18.3", false)
	b.product("Supermicro", "AS-2126HS-TN")
	b.processors(layout{packages: 2, nodes: 8, cores: 64, threads: 2, l3Cores: 8, l2: "1024K", l3: "32768K", gib: 192, near: 12, far: 32})
	for i := range 4 {
		node := 2 * i
		root := fmt.Sprintf("pci0000:%x0/0000:%x0:01.1", 2+2*i, 2+2*i)
		b.add(root, bridge(node, 32, 16, 32, 16))
		address := fmt.Sprintf("0000:%x1:00.0", 2+2*i)
		d := b.add(root+"/"+address, function{class: ethernet, id: "15b3:1021", driver: "mlx5_core", node: node, gts: 32, width: 16, maxGTs: 32, maxWidth: 16})
		b.nic(nic{
			name: fmt.Sprintf("ens%dnp0", 1+i), driver: "mlx5_core", device: d, mbit: 400000, maxMbit: 400000, rx: 64, tx: 64, maxQueues: 127,
			handler: fmt.Sprintf(mlx5Comp, address), control: []string{"mlx5_async0@pci:" + address}, cpu: func(q int) int { return 16*node + q%16 + 128*(q/16%2) },
			rss: 2048, ring: 1024, ringMax: 8192, adaptive: true, features: usual(),
		})
	}
	return b.done()
}
