package madeup

import (
	"fmt"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// Machine is a machine that was made up, and what it is like.
type Machine struct {
	Name string
	Tree *topo.Memory
}

// Machines are all of them but [Large].
func Machines() []Machine {
	return []Machine{
		{"server-2-sockets", twoSockets()},
		{"amd-4-nodes", amdNodes()},
		{"arm-4-nodes", arm()},
		{"old-pci-bus", oldBus()},
		{"vm-vmware", vmware()},
		{"vm-ec2", ec2()},
		{"vm-gce", gce()},
	}
}

const (
	mlx5Comp = "mlx5_comp%%d@pci:%s"
	ethernet = "0x020000"
)

// twoSockets is a server with an mlx5 and an ice NIC behind one PCIe switch that has a
// narrow link upwards, ice's interrupts on the wrong socket, RPS on top of RSS, and on the
// other socket a card in good order beside one that trained down, and an integrated one.
func twoSockets() *topo.Memory {
	b := newBuilder("Intel(R) Xeon(R) Gold 6326 CPU @ 2.90GHz", "6.12.41", false)
	b.product("Dell Inc.", "PowerEdge R750")
	b.processors(layout{packages: 2, nodes: 2, cores: 16, threads: 2, l3Cores: 16, l2: "1280K", l3: "24576K", gib: 128, far: 20})
	root := "pci0000:16/0000:16:02.0"
	b.add(root, bridge(0, 8, 16, 16, 16))
	up := root + "/0000:17:00.0"
	b.add(up, bridge(0, 8, 16, 8, 16))
	p0, p1, p2 := up+"/0000:18:00.0", up+"/0000:18:01.0", up+"/0000:18:02.0"
	b.add(p0, bridge(0, 8, 16, 8, 16))
	b.add(p1, bridge(0, 8, 16, 8, 16))
	b.add(p2, bridge(0, 8, 4, 8, 4))
	mlx := b.add(p0+"/0000:19:00.0", function{class: ethernet, id: "15b3:1017", driver: "mlx5_core", node: 0, gts: 8, width: 16, maxGTs: 8, maxWidth: 16})
	ice := b.add(p1+"/0000:1a:00.0", function{class: ethernet, id: "8086:1592", driver: "ice", node: 0, gts: 8, width: 16, maxGTs: 16, maxWidth: 16})
	b.add(p2+"/0000:1b:00.0", function{class: "0x010802", id: "144d:a80a", driver: "nvme", node: 0, gts: 8, width: 4, maxGTs: 16, maxWidth: 4})
	b.nic(nic{
		name: "ens1f0np0", driver: "mlx5_core", device: mlx, mbit: 100000, maxMbit: 100000, rx: 16, tx: 16, maxQueues: 63, handler: fmt.Sprintf(mlx5Comp, "0000:19:00.0"),
		control: []string{"mlx5_async0@pci:0000:19:00.0"}, cpu: func(q int) int { return q }, rss: 256, ring: 1024, ringMax: 8192, adaptive: true,
		features: usual(), rps: host.CPUs(0, 1, 2, 3, 4, 5, 6, 7),
	})
	b.nic(nic{
		name: "ens2f0", driver: "ice", device: ice, mbit: 100000, maxMbit: 100000, rx: 16, tx: 16, maxQueues: 64, handler: "ice-ens2f0-TxRx-%d",
		control: []string{"ice-0000:1a:00.0:misc"}, cpu: func(q int) int { return q + 8 }, rss: 512, ring: 2048, ringMax: 8160, adaptive: true, features: usual(),
	})
	// The second socket.
	b.add("pci0000:97/0000:97:02.0", bridge(1, 16, 8, 16, 16))
	bnxt := b.add("pci0000:97/0000:97:02.0/0000:98:00.0", function{class: ethernet, id: "14e4:16d7", driver: "bnxt_en", node: 1, gts: 8, width: 4, maxGTs: 8, maxWidth: 8})
	b.nic(nic{
		name: "ens5", driver: "bnxt_en", device: bnxt, mbit: 10000, maxMbit: 25000, rx: 8, tx: 8, maxQueues: 37, handler: "ens5-TxRx-%d",
		cpu: func(q int) int { return 16 + q }, rss: 128, ring: 511, ringMax: 2047, features: usual(),
	})
	b.add("pci0000:b0/0000:b0:04.0", bridge(1, 16, 16, 16, 16))
	good := b.add("pci0000:b0/0000:b0:04.0/0000:b1:00.0", function{class: ethernet, id: "15b3:101d", driver: "mlx5_core", node: 1, gts: 16, width: 16, maxGTs: 16, maxWidth: 16})
	b.nic(nic{
		name: "ens6np0", driver: "mlx5_core", device: good, mbit: 100000, maxMbit: 100000, rx: 32, tx: 32, maxQueues: 63, handler: fmt.Sprintf(mlx5Comp, "0000:b1:00.0"),
		control: []string{"mlx5_async0@pci:0000:b1:00.0"}, cpu: func(q int) int { return 24 + q%8 + 24*(q/8%2) }, rss: 256, ring: 1024, ringMax: 8192, adaptive: true, features: usual(), state: "down",
	})
	// Integrated into the chip set: its link says 2.5 GT/s x1, which means nothing.
	b.add("pci0000:00/0000:00:1c.0", bridge(0, 2.5, 1, 8, 1))
	lom := b.add("pci0000:00/0000:00:1c.0/0000:01:00.0", function{class: ethernet, id: "8086:37d2", driver: "i40e", node: 0, gts: 2.5, width: 1, maxGTs: 2.5, maxWidth: 1})
	b.nic(nic{
		name: "eno1", driver: "i40e", device: lom, mbit: 10000, maxMbit: 10000, rx: 8, tx: 8, maxQueues: 64, handler: "i40e-eno1-TxRx-%d",
		control: []string{"i40e-0000:01:00.0:misc"}, cpu: func(q int) int { return 40 + q }, rss: 512, rssQueues: 4, ring: 512, ringMax: 4096, adaptive: true, features: usual(),
	})
	b.nic(nic{name: "bond0", driver: "bonding", mbit: 200000, rx: 16, tx: 16, uevent: "bond", kernel: "bonding", features: usual()})
	b.link("sys/devices/virtual/net/bond0/lower_ens1f0np0", "sys/devices/"+p0+"/0000:19:00.0/net/ens1f0np0")
	b.link("sys/devices/virtual/net/bond0/lower_ens2f0", "sys/devices/"+p1+"/0000:1a:00.0/net/ens2f0")
	b.link(mlx+"/net/ens1f0np0/upper_bond0", "sys/devices/virtual/net/bond0")
	b.link(ice+"/net/ens2f0/upper_bond0", "sys/devices/virtual/net/bond0")
	return b.done()
}

// amdNodes is one package with four nodes: a dual-port NIC of 2 x 100 Gb/s in a slot of the
// third PCIe generation, eight virtual functions of which one is here, and a NIC with the
// same interrupts' CPUs.
func amdNodes() *topo.Memory {
	b := newBuilder("AMD EPYC 9354 32-Core Processor", "6.8.0-49-generic", false)
	b.product("Supermicro", "AS-1115CS-TNR")
	b.processors(layout{packages: 1, nodes: 4, cores: 32, threads: 2, l3Cores: 4, l2: "1024K", l3: "32768K", gib: 96, near: 12})
	root := "pci0000:40/0000:40:01.1"
	b.add(root, bridge(1, 8, 16, 32, 16))
	var ports []string
	for p := range 2 {
		ports = append(ports, b.add(fmt.Sprintf("%s/0000:41:00.%d", root, p), function{class: ethernet, id: "15b3:101d", driver: "mlx5_core", node: 1, gts: 8, width: 16, maxGTs: 16, maxWidth: 16}))
	}
	for p, dir := range ports {
		address := fmt.Sprintf("0000:41:00.%d", p)
		b.nic(nic{
			name: fmt.Sprintf("enp65s0f%dnp%d", p, p), driver: "mlx5_core", device: dir, mbit: 100000, maxMbit: 100000, rx: 8, tx: 8, maxQueues: 63,
			handler: fmt.Sprintf(mlx5Comp, address), control: []string{"mlx5_async0@pci:" + address}, cpu: func(q int) int { return 8 + q },
			rss: 128, ring: 1024, ringMax: 8192, adaptive: true, features: usual(),
		})
	}
	for v := range 8 {
		dir := fmt.Sprintf("%s/0000:41:01.%d", root, v)
		d := b.add(dir, function{class: ethernet, id: "15b3:101e", node: 1, driver: map[bool]string{true: "mlx5_core", false: "vfio-pci"}[v == 0], physfn: root + "/0000:41:00.0"})
		if v == 0 {
			b.nic(nic{
				name: "enp65s0f0v0", driver: "mlx5_core", device: d, mbit: 100000, rx: 4, tx: 4, maxQueues: 11, handler: fmt.Sprintf(mlx5Comp, "0000:41:01.0"),
				control: []string{"mlx5_async0@pci:0000:41:01.0"}, cpu: func(q int) int { return 40 + q }, rss: 128, ring: 1024, ringMax: 8192, features: usual(),
			})
		}
	}
	b.add("pci0000:00/0000:00:03.1", bridge(0, 5, 2, 16, 4))
	igb := b.add("pci0000:00/0000:00:03.1/0000:05:00.0", function{class: ethernet, id: "8086:1533", driver: "igb", node: -1, gts: 2.5, width: 1, maxGTs: 2.5, maxWidth: 1})
	b.nic(nic{
		name: "eno1", driver: "igb", device: igb, mbit: 1000, maxMbit: 1000, rx: 4, tx: 4, maxQueues: 4, handler: "eno1-TxRx-%d", control: []string{"eno1"},
		cpu: func(q int) int { return q }, rss: 128, ring: 256, ringMax: 4096, features: usual(),
	})
	return b.done()
}

// arm is a two-package Arm server whose NICs are integrated: no PCI Express link to tell.
func arm() *topo.Memory {
	b := newBuilder("CPU implementer\t: 0x48\nCPU part\t: 0xd01", "5.10.0-216.openeuler", false)
	b.product("Huawei", "TaiShan 200 (Model 2280)")
	b.processors(layout{packages: 2, nodes: 4, cores: 32, threads: 1, l3Cores: 16, l2: "512K", l3: "32768K", gib: 64, near: 12, far: 22})
	b.add("pci0000:7c/0000:7c:00.0", bridge(0, 0, 0, 0, 0))
	for p := range 2 {
		address := fmt.Sprintf("0000:7d:00.%d", p)
		d := b.add("pci0000:7c/0000:7c:00.0/"+address, function{class: ethernet, id: "19e5:a222", driver: "hns3", node: 0})
		b.nic(nic{
			name: fmt.Sprintf("enp125s0f%d", p), driver: "hns3", device: d, mbit: 25000, maxMbit: 25000, rx: 16, tx: 16, maxQueues: 16,
			handler: "hns3-" + address + "-TxRx-%d", control: []string{"hclge-misc-" + address}, cpu: func(q int) int { return q + 48*p },
			rss: 512, ring: 1024, ringMax: 32760, adaptive: true, features: usual(), rpsFlows: 32 * p,
		})
	}
	return b.done()
}

// oldBus is the paper's kind of server: four CPUs, two NICs on one conventional PCI bus and
// one on another, all interrupts on CPU 0, no answers beyond files.
func oldBus() *topo.Memory {
	b := newBuilder("Pentium III (Cascades)", "4.19.0-27-686", false)
	b.processors(layout{packages: 4, cores: 1, threads: 1, l2: "2048K"})
	b.add("pci0000:00/0000:00:02.0", bridge(-1, 0, 0, 0, 0))
	b.add("pci0000:05/0000:05:03.0", bridge(-1, 0, 0, 0, 0))
	for i, dir := range []string{"pci0000:00/0000:00:02.0/0000:01:04.0", "pci0000:00/0000:00:02.0/0000:01:05.0", "pci0000:05/0000:05:03.0/0000:06:04.0"} {
		d := b.add(dir, function{class: ethernet, id: "8086:1001", driver: "e1000", node: -1})
		name := fmt.Sprintf("eth%d", i)
		b.nic(nic{name: name, driver: "e1000", device: d, mbit: 1000, rx: 1, tx: 1, handler: name, cpu: func(int) int { return 0 }, silent: true})
	}
	return b.done()
}
