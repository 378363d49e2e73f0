package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackmeter/stackmeter/internal/experiment"
	"github.com/stackmeter/stackmeter/internal/host"
	"github.com/stackmeter/stackmeter/internal/rig"
	"github.com/stackmeter/stackmeter/internal/sysx"
	"github.com/stackmeter/stackmeter/internal/topo"
)

// usableCPUs are the CPUs that are online and allowed to this process.
func usableCPUs() ([]int, error) { return sysx.Affinity(0) }

// clusters parts CPUs by the last cache that they share; nil where the machine does not tell.
func clusters(cpus []int) (out [][]int) {
	m, err := topo.Live()
	if err != nil {
		return nil
	}
	last := 0
	for _, c := range m.Caches {
		last = max(last, c.Level)
	}
	left := slices.Clone(cpus)
	for _, c := range m.Caches {
		var in []int
		left = slices.DeleteFunc(left, func(cpu int) bool {
			shares := c.Level == last && c.CPUs.Has(cpu)
			if shares {
				in = append(in, cpu)
			}
			return shares
		})
		if in != nil {
			out = append(out, in)
		}
	}
	if len(left) > 0 {
		out = append(out, left)
	}
	return out
}

// checkCPU refuses a CPU that is offline or not allowed; -1 stands for none.
func checkCPU(flag string, cpu int) error {
	usable, err := usableCPUs()
	if err != nil || cpu < 0 || slices.Contains(usable, cpu) {
		return err
	}
	return fmt.Errorf("%s %d: is not online or not allowed to this process; choose one of %v", flag, cpu, host.CPUList(usable))
}

// checkPlan refuses what this machine can't do, before anything is made: more CPUs
// than it has to use, a congestion control that the kernel does not know.
func checkPlan(p *experiment.Plan, usable []int) error {
	for i := range p.Experiments {
		e := &p.Experiments[i]
		for _, cell := range e.Cells() {
			c, err := cell.Config(p.Defaults)
			if err == nil && c.CPUs > len(usable) {
				err = fmt.Errorf("cpus: %d, this machine has %d online and allowed to this process (%v)", c.CPUs, len(usable), host.CPUList(usable))
			}
			if err == nil && c.Congestion != "" {
				err = checkCongestion(c.Congestion)
			}
			if err != nil {
				return fmt.Errorf("experiment %s, cell %s: %w", e.Name, cell.Key(), err)
			}
		}
	}
	return nil
}

// checkCongestion tries a congestion control on a socket, which also makes the
// kernel load its module where this process may.
func checkCongestion(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	defer unix.Close(fd)
	// EPERM: known, but not to this user; in a namespace of its own the load may use it.
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name); err != nil && err != unix.EPERM {
		known, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
		return fmt.Errorf("congestion: %q: %w; this kernel has: %s", name, err, strings.TrimSpace(string(known)))
	}
	return nil
}

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
