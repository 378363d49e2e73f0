package knob

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
)

// leastIPv6 is the least MTU of a link that carries IPv6 (RFC 8200, section 5). At less the kernel
// takes all IPv6 configuration off the NIC, and at more it starts anew with the defaults
// (addrconf_notify in net/ipv6/addrconf.c).
const leastIPv6 = 1280

type mtu struct {
	*file
	root host.Root
	nic  string
}

// endsIPv6 reports whether going from one MTU to another ends IPv6 on the NIC.
func endsIPv6(from, to string) bool {
	old, oldErr := strconv.Atoi(from)
	want, err := strconv.Atoi(to)
	return oldErr == nil && err == nil && old >= leastIPv6 && want < leastIPv6
}

// Harmless tells before any change whether writing value would lose what can't be put back:
// a *host.NotSupportedError where it would. [Set] asks by itself.
func Harmless(k Knob, value string) error {
	h, ok := bare(k).(interface{ harmless(string) error })
	if !ok {
		return nil
	}
	return h.harmless(value)
}

func (m *mtu) harmless(v string) error {
	now, err := m.Read()
	if err != nil || !m.root.IsLive() || !endsIPv6(now, v) {
		return err
	}
	lost, err := configuredIPv6(m.nic)
	if err != nil || len(lost) == 0 {
		return err
	}
	return &host.NotSupportedError{
		What:   fmt.Sprintf("mtu of %s = %s", m.nic, v),
		Reason: fmt.Sprintf("below %d the kernel takes IPv6 off the NIC, and nobody puts back %s", leastIPv6, strings.Join(lost, ", ")),
		Mend:   fmt.Sprintf("choose %d or more, or take these off the NIC first", leastIPv6),
	}
}

// configuredIPv6 are the addresses and routes of a NIC that the kernel doesn't make by itself.
func configuredIPv6(nic string) ([]string, error) {
	l, err := link(nic)
	if err != nil {
		return nil, err
	}
	addrs, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		return nil, fmt.Errorf("IPv6 addresses of %s: %w", nic, err)
	}
	var out []string
	for _, a := range addrs {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, "address "+a.IPNet.String())
		}
	}
	of := &netlink.Route{LinkIndex: l.Attrs().Index, Table: unix.RT_TABLE_UNSPEC}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, of, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("IPv6 routes of %s: %w", nic, err)
	}
	for _, r := range routes {
		switch r.Protocol {
		case unix.RTPROT_KERNEL, unix.RTPROT_RA, unix.RTPROT_REDIRECT:
		default:
			to := "default"
			if r.Dst != nil {
				to = r.Dst.String()
			}
			out = append(out, "route "+to)
		}
	}
	return out, nil
}

// ipv6Conf is a sysctl of net.ipv6.conf of a NIC, whose name may have dots.
func ipv6Conf(root host.Root, nic, name string) Knob {
	return at(root, "/proc/sys/net/ipv6/conf/"+nic+"/"+name, file{info: Info{
		Kind: "ipv6conf", Key: nic + "/" + name, Name: "net.ipv6.conf." + name, Target: nic, Mechanism: "sysctl", InNetNS: true,
		Doc: "sysctl of IPv6 on the NIC",
	}})
}

func openIPv6Conf(r host.Root, key string) (Knob, error) {
	nic, name, ok := strings.Cut(key, "/")
	if !ok || strings.Contains(name, "/") {
		return nil, fmt.Errorf("%q is no NIC/SYSCTL", key)
	}
	return ipv6Conf(r, nic, name), nil
}

// ipv6Confs are those that can be read; none where the NIC has no IPv6.
func ipv6Confs(root host.Root, nic string) []Knob {
	names, _ := os.ReadDir(rooted(root, "/proc/sys/net/ipv6/conf/"+nic))
	var ks []Knob
	for _, n := range names {
		ks = append(ks, ipv6Conf(root, nic, n.Name()))
	}
	return ks
}
