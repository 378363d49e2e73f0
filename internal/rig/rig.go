// Package rig makes the place where trials run. The default rig, veth, is two
// network namespaces on this machine, a server's and a client's, with N pairs
// of veth NICs between them. The namespaces have no name and no owner but the
// agent processes that live in them: when these end, however they end, the
// kernel takes the namespaces, NICs and addresses away. Nothing of the machine's own
// network is touched.
package rig

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// MaxNICs is how many NICs a rig can have: one /24 of 198.18.0.0/16 each.
const MaxNICs = 64

// NIC is one end of a point-to-point link.
type NIC struct {
	Name string     `json:"name"`
	Addr netip.Addr `json:"addr"`
}

// Stack is the address that a user-space stack on the NIC may have beside the kernel's: in the
// same subnet, where the other end's NIC asks for it.
func (n NIC) Stack() netip.Prefix {
	a := n.Addr.As4()
	a[3] += 100
	return netip.PrefixFrom(netip.AddrFrom4(a), 24)
}

// Link is a pair of NICs, the server's and the client's.
type Link struct {
	Server NIC `json:"server"`
	Client NIC `json:"client"`
}

// Plan returns the names and addresses of n links. The addresses are of
// 198.18.0.0/15, which RFC 2544 sets apart for benchmarks.
func Plan(n int) []Link {
	links := make([]Link, n)
	for i := range links {
		links[i] = Link{
			Server: NIC{fmt.Sprintf("srv%d", i), netip.AddrFrom4([4]byte{198, 18, byte(i), 1})},
			Client: NIC{fmt.Sprintf("cli%d", i), netip.AddrFrom4([4]byte{198, 18, byte(i), 2})},
		}
	}
	return links
}

// Veth makes the links between the network namespaces of two processes and
// brings them up. The NICs have one queue each way and the kernel's defaults
// otherwise. The caller needs CAP_NET_ADMIN over both namespaces.
func Veth(serverPID, clientPID int, links []Link) error {
	server, err := open(serverPID)
	if err != nil {
		return err
	}
	defer server.close()
	client, err := open(clientPID)
	if err != nil {
		return err
	}
	defer client.close()
	for _, host := range []*namespace{server, client} {
		if err := host.up("lo"); err != nil {
			return err
		}
	}
	for _, l := range links {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = l.Server.Name
		attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
		pair := &netlink.Veth{
			LinkAttrs: attrs, PeerName: l.Client.Name, PeerNamespace: netlink.NsPid(clientPID),
			PeerNumTxQueues: 1, PeerNumRxQueues: 1,
		}
		if err := server.LinkAdd(pair); err != nil {
			return fmt.Errorf("make the veth pair %s: %w (does this kernel have veth?)", l.Server.Name, err)
		}
		if err := server.address(l.Server); err != nil {
			return err
		}
		if err := client.address(l.Client); err != nil {
			return err
		}
	}
	return nil
}

// Settle gives NICs that are in the network namespace of a process their addresses and brings
// them up, and loopback.
func Settle(pid int, nics []NIC) error {
	n, err := open(pid)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.up("lo"); err != nil {
		return err
	}
	for _, nic := range nics {
		if err := n.address(nic); err != nil {
			return err
		}
	}
	return nil
}

// namespace is a network namespace through netlink.
type namespace struct {
	*netlink.Handle
	ns netns.NsHandle
}

func open(pid int) (*namespace, error) {
	ns, err := netns.GetFromPath(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("network namespace of process %d: %w", pid, err)
	}
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		ns.Close()
		return nil, fmt.Errorf("netlink in the namespace of process %d: %w", pid, err)
	}
	return &namespace{h, ns}, nil
}

func (n *namespace) close() {
	n.Close()
	n.ns.Close()
}

func (n *namespace) up(name string) error {
	link, err := n.LinkByName(name)
	if err == nil {
		err = n.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

func (n *namespace) address(nic NIC) error {
	link, err := n.LinkByName(nic.Name)
	if err != nil {
		return fmt.Errorf("find %s: %w", nic.Name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: nic.Addr.AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := n.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("give %s the address %v: %w", nic.Name, nic.Addr, err)
	}
	return n.up(nic.Name)
}

// Rootless reports whether this process lacks the right to make namespaces as it is, so
// that the rig needs a user namespace around it.
func Rootless() bool { return os.Geteuid() != 0 }
