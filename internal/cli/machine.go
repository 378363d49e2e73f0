package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/sysx"
)

// usableCPUs are the CPUs that are online and allowed to this process.
func usableCPUs() ([]int, error) { return sysx.Affinity(0) }

// kernelRelease is what `uname -r` prints.
func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// checkNICs looks the server's NICs up: they must exist, be up, have an address
// and, unless iKnow, not carry the default route.
func checkNICs(names []string, iKnow bool) ([]rig.NIC, error) {
	var out []rig.NIC
	for _, name := range names {
		if err := host.Live().ValidateNIC("--nic", name, iKnow, "--i-know"); err != nil {
			return nil, err
		}
		i, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("--nic %s: %w", name, err)
		}
		if i.Flags&net.FlagUp == 0 {
			return nil, fmt.Errorf("--nic %s: is down; bring it up with: ip link set %s up", name, name)
		}
		addr, err := address(i)
		if err != nil {
			return nil, fmt.Errorf("--nic %s: %w", name, err)
		}
		out = append(out, rig.NIC{Name: name, Addr: addr})
	}
	return out, nil
}

// address is the first address that the peer can reach, IPv4 before IPv6.
func address(i *net.Interface) (netip.Addr, error) {
	addrs, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	var v6 netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		switch {
		case err != nil:
		case p.Addr().Is4():
			return p.Addr(), nil
		case !p.Addr().IsLinkLocalUnicast() && !v6.IsValid():
			v6 = p.Addr()
		}
	}
	if !v6.IsValid() {
		return v6, errors.New("has no address; give it one with: ip addr add ADDRESS/LENGTH dev " + i.Name)
	}
	return v6, nil
}
