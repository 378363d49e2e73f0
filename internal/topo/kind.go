package topo

import (
	"slices"
	"strings"
)

// natures says what to know of a NIC by its driver, or of a virtual one by its kind.
var natures = map[string]string{
	"virtio_net":       "virtio-net: a queue shared with the hypervisor; no link of its own, its speed is nominal, and what it carries is the host's doing",
	"vmxnet3":          "VMware's paravirtual NIC: the speed of 10 Gb/s and the PCI link that it shows are nominal; RSS and its queues are set in the driver and the virtual machine's configuration",
	"ena":              "Amazon's Elastic Network Adapter: what it carries is bounded by the instance type, per flow too, and not by a link of this machine",
	"gve":              "Google's virtual NIC: what it carries is bounded by the machine type, per flow too, and not by a link of this machine",
	"hv_netvsc":        "Hyper-V's NIC on VMBus: no PCI, its channels' interrupts come by VMBus and are not in /proc/interrupts; with accelerated networking the packets go through a virtual function below it",
	"mana":             "Azure's network adapter: bounded by the instance type, not by a link of this machine",
	"xen_netfront":     "Xen's paravirtual NIC: each queue has an event channel for an interrupt; what it carries is the host's doing",
	"veth":             "veth: one end of a pair of interfaces in memory; a packet is received in the context of the sender's softirq, unless NAPI is threaded; no interrupt; its speed is nominal",
	"bridge":           "bridge: forwards in the softirq of the port that received",
	"bond":             "bond: sends through the interfaces below it, which have the queues and interrupts",
	"team":             "team: sends through the interfaces below it, which have the queues and interrupts",
	"vlan":             "VLAN: a tag on the interface below it, which has the queues and interrupts",
	"macvlan":          "macvlan: shares the interface below it, which has the queues and interrupts",
	"ipvlan":           "ipvlan: shares the interface below it, which has the queues and interrupts",
	"vxlan":            "VXLAN: a tunnel; packets are received in the softirq of the NIC below, and hash by the outer UDP port",
	"geneve":           "GENEVE: a tunnel; packets are received in the softirq of the NIC below, and hash by the outer UDP port",
	"gre":              "GRE: a tunnel; without RSS over inner headers all of it arrives on one queue",
	"wireguard":        "WireGuard: a tunnel; decryption is spread over all CPUs, then packets of a peer are received in order by one NAPI instance",
	"tun":              "TUN/TAP: a process on the other side reads and writes packets; it receives in the context of that process's write; its speed is nominal",
	"ifb":              "ifb: takes packets that were redirected, to shape them",
	"dummy":            "dummy: drops all that it sends",
	"xfrm":             "xfrm: an IPsec interface on top of another",
	"wlan":             "wireless",
	"virtual":          "a virtual interface: no device behind it",
	"emulated":         "very likely emulated by the hypervisor: every access to a register leaves the guest, and a paravirtual NIC costs less; its PCI link is invented",
	"virtual function": "a virtual function: a slice of a physical NIC, whose link and port it shares with the other slices",
}

// ethtoolKinds are the kinds of virtual interfaces by what their drivers call themselves.
var ethtoolKinds = map[string]string{
	"veth": "veth", "bridge": "bridge", "bonding": "bond", "tun": "tun", "ifb": "ifb", "dummy": "dummy", "macvlan": "macvlan", "vxlan": "vxlan",
	"802.1Q VLAN Support": "vlan", "ipvlan": "ipvlan", "geneve": "geneve", "wireguard": "wireguard", "team": "team",
}

// paravirtual are the drivers of NICs that only hypervisors have.
var paravirtual = []string{"virtio_net", "vmxnet3", "ena", "gve", "hv_netvsc", "xen_netfront", "mana", "netfront"}

// emulated are the drivers of NICs that hypervisors emulate.
var emulated = []string{"e1000", "e1000e", "igb", "e100", "8139cp", "8139too", "pcnet32", "tulip", "ne2k-pci"}

// natures tells what to know of the NICs, once it is known whether the machine is virtual.
func (m *Machine) natures() {
	for i := range m.NICs {
		n := &m.NICs[i]
		if m.Virtualised && n.Kind == "pci" && slices.Contains(emulated, n.Driver) {
			n.Kind = "emulated"
		}
		key := n.Kind
		if n.Kind == "paravirtual" {
			key = n.Driver
		}
		n.Nature = natures[key]
	}
}

// kind tells what a NIC is.
func (r *reader) kind(m *Machine, n *NIC, dir, device string) {
	n.Kind = r.kindOf(m, n, dir, device)
	if n.Kind == "paravirtual" && n.Driver != "ena" { // metal instances have it too
		m.Virtualised = true
	}
}

func (r *reader) kindOf(m *Machine, n *NIC, dir, device string) string {
	switch {
	case slices.Contains(paravirtual, n.Driver):
		return "paravirtual"
	case device == "":
		return r.virtualKind(n, dir)
	case m.pci(n.PCI) != nil && m.pci(n.PCI).Physfn != "":
		return "virtual function"
	case strings.Contains(device, "/usb"):
		return "usb"
	case n.PCI != "":
		return "pci"
	case strings.Contains(device, "/vif-"):
		return "paravirtual"
	case strings.Contains(device, "/virtual/"):
		return "virtual"
	}
	return "platform"
}

// virtualKind tells what an interface without a device is: by its directory in sysfs, the
// type in its uevent file (SET_NETDEV_DEVTYPE), or the driver that it names to ethtool.
func (r *reader) virtualKind(n *NIC, dir string) string {
	if k, ok := ethtoolKinds[n.Driver]; ok {
		return k
	}
	s, _ := r.content(dir+"/uevent", func(s string) string { return lineWith(s, "DEVTYPE=") })
	if k := strings.TrimSpace(strings.TrimPrefix(s, "DEVTYPE=")); k != "" {
		return k
	}
	switch {
	case r.names(dir, "bridge") != nil:
		return "bridge"
	case r.names(dir, "bonding") != nil:
		return "bond"
	case r.text(dir, "tun_flags") != "":
		return "tun"
	}
	return "virtual"
}
