package main

import (
	"fmt"
	"net"
	"os"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/sysx"
)

func pin(pid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return fmt.Errorf("pin process %d to CPU %d: %w", pid, cpu, err)
	}
	return nil
}

func namespace(pid int) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }

// queueLen is how many packets each device's queue holds, veth's and TUN's alike.
const queueLen = 1000

// lay makes the veth pair between the namespaces of two processes. Frames of both ends
// are real: nothing is left to segmentation or checksum offload, since a stack in user
// space must see what a wire would carry.
func lay(peer, stack, mtu int, e entry) error {
	err := sysx.InNetNS(namespace(peer), func(string) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU, attrs.TxQLen = peerNIC, mtu, queueLen
		attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
		pair := &netlink.Veth{LinkAttrs: attrs, PeerName: stackNIC, PeerNamespace: netlink.NsPid(stack), PeerNumTxQueues: 1, PeerNumRxQueues: 1}
		if err := netlink.LinkAdd(pair); err != nil {
			return fmt.Errorf("make a veth pair: %w", err)
		}
		return ready(peerNIC, peerAddr, mtu, true)
	})
	if err != nil {
		return err
	}
	return sysx.InNetNS(namespace(stack), func(string) error {
		own := ""
		if e.Stack == "kernel" {
			own = stackAddr
		}
		return ready(stackNIC, own, mtu, e.Device == "veth-gro")
	})
}

// ready brings a NIC up.
func ready(name, addr string, mtu int, gro bool) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := plain(name, gro); err != nil {
		return fmt.Errorf("offloads of %s: %w", name, err)
	}
	return up(link, addr, mtu)
}

func up(link netlink.Link, addr string, mtu int) error {
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("MTU %d: %w", mtu, err)
	}
	if addr != "" {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(addr), Mask: net.CIDRMask(prefixLen, 32)}}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("address %s: %w", addr, err)
		}
		if err := ports(); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// ports makes the namespace of the calling thread able to connect very often.
func ports() error {
	for name, value := range map[string]string{"ip_local_port_range": "1024 65535", "tcp_tw_reuse": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

func plain(name string, gro bool) error {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Change(name, map[string]bool{
		"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-generic-segmentation": false, "rx-gro": gro,
	})
}

// layTUN sets the TUN device up in the namespace of the calling thread.
func layTUN(name string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetTxQLen(link, queueLen); err != nil {
		return fmt.Errorf("queue of %s: %w", name, err)
	}
	return up(link, peerAddr, mtu)
}
