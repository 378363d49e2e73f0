package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"
)

// NIC is a network interface of the calling thread's network namespace.
type NIC struct {
	Name         string          `json:"name"`
	Index        int             `json:"ifindex"`
	MAC          string          `json:"mac,omitempty"`
	MTU          int             `json:"mtu_bytes"`
	OperState    string          `json:"operstate"`
	Driver       string          `json:"driver,omitempty"`
	SpeedBits    int64           `json:"speed_bits_per_second,omitempty"` // absent where the driver doesn't know
	RxQueues     int             `json:"rx_queues"`
	TxQueues     int             `json:"tx_queues"`
	Virtual      bool            `json:"virtual"` // no device stands behind it, as for veth
	DefaultRoute string          `json:"default_route_via,omitempty"`
	Threaded     string          `json:"threaded_napi,omitempty"` // "0" or "1"; absent before Linux 5.12
	NAPIs        []NAPI          `json:"napis,omitempty"`
	IRQs         []NICIRQ        `json:"interrupts,omitempty"`
	Offloads     map[string]bool `json:"offloads,omitempty"` // features that are on or can be; live host only
}

// NICIRQ is an interrupt of a NIC.
type NICIRQ struct {
	IRQ       int     `json:"irq"`
	Action    string  `json:"action"`
	Affinity  CPUList `json:"affinity"`
	Effective CPUList `json:"effective_affinity,omitempty"`
}

// NICs reads all interfaces but the loopback, by name.
func (r Root) NICs() ([]NIC, error) {
	entries, err := os.ReadDir(filepath.Join(r.Sys, "class", "net"))
	if err != nil {
		return nil, err
	}
	var all []NIC
	for _, e := range entries {
		if e.Name() == "lo" || !exists(r.NICDir(e.Name()), "ifindex") {
			continue // bonding_masters is a file among them
		}
		n, err := r.NIC(e.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, *n)
	}
	return all, nil
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

// NIC reads one interface.
func (r Root) NIC(name string) (*NIC, error) {
	dir := r.NICDir(name)
	index, err := number(dir, "ifindex")
	if err != nil {
		return nil, fmt.Errorf("NIC %s: %w", name, err)
	}
	n := &NIC{
		Name: name, Index: index, MAC: optional(dir, "address"), OperState: optional(dir, "operstate"),
		Virtual: !exists(dir, "device"), Threaded: optional(dir, "threaded"),
	}
	if n.MTU, err = number(dir, "mtu"); err != nil {
		return nil, fmt.Errorf("NIC %s: %w", name, err)
	}
	if mbit, err := strconv.ParseInt(optional(dir, "speed"), 10, 64); err == nil && mbit > 0 {
		n.SpeedBits = mbit * 1_000_000
	}
	queues, _ := os.ReadDir(filepath.Join(dir, "queues"))
	for _, q := range queues {
		if strings.HasPrefix(q.Name(), "rx-") {
			n.RxQueues++
		} else {
			n.TxQueues++
		}
	}
	if link, err := os.Readlink(filepath.Join(dir, "device", "driver")); err == nil {
		n.Driver = filepath.Base(link)
	}
	if n.DefaultRoute, err = r.CarriesDefaultRoute(name); err != nil {
		return nil, err
	}
	if n.IRQs, err = r.NICIRQs(name); err != nil {
		return nil, err
	}
	if r.IsLive() {
		n.NAPIs, _ = r.NAPIs(name)
		n.ethtool()
	}
	return n, nil
}

// ethtool adds what the ethtool ioctl tells; a NIC without it goes without.
func (n *NIC) ethtool() {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return
	}
	defer e.Close()
	if n.Driver == "" {
		n.Driver, _ = e.DriverName(n.Name)
	}
	states, err := e.FeaturesWithState(n.Name)
	if err != nil {
		return
	}
	n.Offloads = changeable(states)
}

// NICIRQs finds a NIC's interrupts: those of the nearest device above it in sysfs that
// has any (a virtio NIC's are its PCI parent's). Where the device serves several
// NICs, handlers named for this one win. Vectors without a handler are left out.
func (r Root) NICIRQs(name string) ([]NICIRQ, error) {
	device, err := filepath.EvalSymlinks(filepath.Join(r.NICDir(name), "device"))
	if err != nil {
		return nil, nil // no device, hence no interrupts
	}
	sys, err := filepath.EvalSymlinks(r.Sys)
	if err != nil {
		return nil, err
	}
	var irqs []int
	for dir := device; len(irqs) == 0 && strings.HasPrefix(dir, sys+"/"); dir = filepath.Dir(dir) {
		vectors, _ := os.ReadDir(filepath.Join(dir, "msi_irqs"))
		for _, v := range vectors {
			if n, err := strconv.Atoi(v.Name()); err == nil {
				irqs = append(irqs, n)
			}
		}
		if n, err := number(dir, "irq"); len(irqs) == 0 && err == nil && n > 0 {
			irqs = append(irqs, n)
		}
	}
	if len(irqs) == 0 {
		return nil, nil
	}
	all, err := r.Interrupts()
	if err != nil {
		return nil, err
	}
	var mine, named []NICIRQ
	for _, in := range all {
		if !slices.Contains(irqs, in.IRQ) || len(in.Actions) == 0 {
			continue
		}
		q := NICIRQ{IRQ: in.IRQ, Action: strings.Join(in.Actions, ", ")}
		if q.Affinity, q.Effective, err = r.IRQAffinity(in.IRQ); err != nil {
			return nil, err
		}
		mine = append(mine, q)
		if slices.ContainsFunc(in.Actions, func(a string) bool { return NamesDevice(a, name) || NamesDevice(a, filepath.Base(device)) }) {
			named = append(named, q)
		}
	}
	if named != nil {
		return named, nil
	}
	return mine, nil
}

// NamesDevice reports whether the name of an interrupt's handler holds a device's as a
// word: "eth1-rx-0" is no handler of eth10 nor of h1.
func NamesDevice(action, device string) bool {
	for word := range strings.FieldsFuncSeq(action, func(c rune) bool { return strings.ContainsRune("-@: _/", c) }) {
		if word == device {
			return true
		}
	}
	return false
}

// CheckNIC makes sure that sysfs shows the NIC that netlink and ioctl mean: a
// process that entered a network namespace without mounting sysfs anew would set
// another namespace's NIC of the same name.
func (r Root) CheckNIC(name string) error {
	index, err := number(r.NICDir(name), "ifindex")
	if err != nil {
		return fmt.Errorf("NIC %s: %w", name, err)
	}
	i, err := net.InterfaceByName(name)
	if err != nil { // netlink's answer to a NIC that isn't there has no type
		return fmt.Errorf("NIC %s: %w: %w", name, fs.ErrNotExist, err)
	}
	if mac := optional(r.NICDir(name), "address"); i.Index != index || (len(i.HardwareAddr) > 0 && mac != i.HardwareAddr.String()) {
		return fmt.Errorf("NIC %s in %s is not the one of this network namespace: mount sysfs anew after entering it", name, r.Sys)
	}
	return nil
}

// CheckNICs makes sure that sysfs shows the NICs of the calling thread's network namespace,
// all of them and no other's: names that both namespaces have are not enough, nor is lo,
// which is alike in each.
func (r Root) CheckNICs() error {
	nics, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the network interfaces: %w", err)
	}
	have := map[string]bool{}
	for _, n := range nics {
		if err := r.CheckNIC(n.Name); err != nil {
			return err
		}
		have[n.Name] = true
	}
	entries, err := os.ReadDir(filepath.Join(r.Sys, "class", "net"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); !have[name] && exists(r.NICDir(name), "ifindex") {
			return fmt.Errorf("NIC %s in %s is not one of this network namespace: mount sysfs anew after entering it", name, r.Sys)
		}
	}
	return nil
}

// ErrInput is wrapped by errors about what a user asked for.
var ErrInput = errors.New("bad input")

// ValidateCPUs holds CPUs that the user gave in field against those online.
func (r Root) ValidateCPUs(field string, cpus CPUList) error {
	online, err := r.CPUsOnline()
	if err != nil {
		return err
	}
	if len(cpus) == 0 {
		return fmt.Errorf("%w: %s: no CPU given; online are %v", ErrInput, field, online)
	}
	if off := cpus.Without(online); len(off) > 0 {
		return fmt.Errorf("%w: %s: CPU %v is not online; choose from %v, or bring it online: echo 1 > /sys/devices/system/cpu/cpu%d/online", ErrInput, field, off, online, off[0])
	}
	return nil
}

// ValidateNIC makes sure that the NIC that the user gave in field exists and,
// unless allowed (the flag override says so), that no default route runs over it.
func (r Root) ValidateNIC(field, name string, allowed bool, override string) error {
	if name == "" || strings.ContainsAny(name, "/ ") || !exists(r.NICDir(name), "ifindex") {
		have, _ := r.NICs()
		var list []string
		for _, n := range have {
			list = append(list, n.Name)
		}
		return fmt.Errorf("%w: %s: there is no NIC %q here; there are: %s", ErrInput, field, name, strings.Join(list, ", "))
	}
	via, err := r.CarriesDefaultRoute(name)
	if err != nil {
		return err
	}
	if via == "" || allowed {
		return nil
	}
	over := ""
	if via != name {
		over = " (through " + via + ")"
	}
	return fmt.Errorf("%w: %s: %s carries the default route%s: changing it may cut this machine off; choose another NIC, or give %s if you know that you can get back in", ErrInput, field, name, over, override)
}
