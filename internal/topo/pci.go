package topo

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// PCIDevice is a function of a PCI device.
type PCIDevice struct {
	Address    string   `json:"address"`                     // as "0000:17:00.0"
	Parent     string   `json:"parent,omitempty"`            // address of the bridge above; absent on a host bridge's own bus
	HostBridge string   `json:"host_bridge"`                 // as "pci0000:16"
	Class      string   `json:"class"`                       // what it is, in words: "bridge", "ethernet", "nvme", ...
	ID         string   `json:"id,omitempty"`                // vendor:device, hexadecimal
	Driver     string   `json:"driver,omitempty"`            // bound to it
	Node       int      `json:"numa_node"`                   // -1: the firmware doesn't say
	NICs       []string `json:"nics,omitempty"`              // interfaces on it
	Physfn     string   `json:"physical_function,omitempty"` // of a virtual function: the address of its physical one
	// Link is towards the root for what hangs below a bridge, and away from it for the bridge
	// itself; absent where the function has none (conventional PCI, integrated devices).
	Link *Link `json:"link,omitempty"`
}

// Link is a PCI Express link as one of its ends tells it.
type Link struct {
	GTs      float64 `json:"gigatransfers_per_second"`     // of a lane, now
	Width    int     `json:"width"`                        // lanes, now
	MaxGTs   float64 `json:"max_gigatransfers_per_second"` // that this end can do
	MaxWidth int     `json:"max_width"`                    // that this end can do
}

// Bits is what the link carries each way in bits per second, after its encoding but
// before the headers of its packets, as the kernel computes it (PCIE_SPEED2MBS_ENC of
// drivers/pci/pci.h).
func (l Link) Bits() float64 { return laneBits(l.GTs) * float64(l.Width) }

// MaxBits is Bits of the most that this end can do.
func (l Link) MaxBits() float64 { return laneBits(l.MaxGTs) * float64(l.MaxWidth) }

// String is as "16 GT/s x8".
func (l Link) String() string { return fmt.Sprintf("%g GT/s x%d", l.GTs, l.Width) }

// Max is the same of the most that this end can do.
func (l Link) Max() string { return fmt.Sprintf("%g GT/s x%d", l.MaxGTs, l.MaxWidth) }

func laneBits(gts float64) float64 {
	switch {
	case gts <= 5:
		return gts * 1e9 * 8 / 10
	case gts <= 32:
		return gts * 1e9 * 128 / 130
	default: // flow control units of fixed size: the kernel counts no loss
		return gts * 1e9
	}
}

// parseSpeed reads current_link_speed and max_link_speed: "16.0 GT/s PCIe", before Linux
// 5.7 "16 GT/s", "2.5 GT/s". Unknown ones are 0.
func parseSpeed(s string) (float64, error) {
	if s == "" || strings.HasPrefix(s, "Unknown") {
		return 0, nil
	}
	f := strings.Fields(s)
	if len(f) < 2 || f[1] != "GT/s" {
		return 0, fmt.Errorf("%.40q is no link speed", s)
	}
	v, err := strconv.ParseFloat(f[0], 64)
	if err != nil || !(v >= 0 && v < 1e6) {
		return 0, fmt.Errorf("%.40q is no link speed", s)
	}
	return v, nil
}

var (
	functionName = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)
	bridgeName   = regexp.MustCompile(`^pci[0-9a-f]{4,8}:[0-9a-f]{2}$`)
)

// pciPath splits a real path of sysfs into the host bridge's directory and the functions
// from there to the device. Where one host bridge is behind a function of another (Intel
// VMD), the last counts.
func pciPath(device string) (bridge string, functions []string) {
	parts := strings.Split(device, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if !bridgeName.MatchString(parts[i]) {
			continue
		}
		for _, p := range parts[i+1:] {
			if !functionName.MatchString(p) {
				break
			}
			functions = append(functions, p)
		}
		return strings.Join(parts[:i+1], "/"), functions
	}
	return "", nil
}

// maxPCIDepth bounds a walk down a tree.
const maxPCIDepth = 32

// pci reads the functions above a NIC and all that shares a bridge with it. Known ones
// are left as they are. It returns the address of the NIC's own function.
func (r *reader) pci(m *Machine, device string) string {
	bridge, functions := pciPath(device)
	if len(functions) == 0 {
		return ""
	}
	dir, parent := bridge, ""
	for i, f := range functions {
		dir = path.Join(dir, f)
		if r.function(m, dir, path.Base(bridge), parent) && i == 0 && len(functions) > 1 {
			r.below(m, dir, path.Base(bridge), f, maxPCIDepth)
		}
		parent = f
	}
	return functions[len(functions)-1]
}

// below reads the functions behind a bridge.
func (r *reader) below(m *Machine, dir, bridge, parent string, depth int) {
	for _, name := range r.names(dir) {
		if functionName.MatchString(name) && depth > 0 {
			child := path.Join(dir, name)
			r.function(m, child, bridge, parent)
			r.below(m, child, bridge, name, depth-1)
		}
	}
}

// function reads one function; it is false if that is known.
func (r *reader) function(m *Machine, dir, bridge, parent string) bool {
	address := path.Base(dir)
	if m.pci(address) != nil {
		return false
	}
	d := PCIDevice{
		Address: address, Parent: parent, HostBridge: bridge, Node: r.id(dir, "numa_node"),
		Driver: base(r.link(dir, "driver")), Physfn: base(r.link(dir, "physfn")),
	}
	class, _ := r.number(dir, "class")
	d.Class = className(class)
	vendor, ok := r.number(dir, "vendor")
	if device, ok2 := r.number(dir, "device"); ok && ok2 {
		d.ID = fmt.Sprintf("%04x:%04x", vendor, device)
	}
	l := Link{
		GTs: r.speed(dir, "current_link_speed"), Width: r.width(dir, "current_link_width"),
		MaxGTs: r.speed(dir, "max_link_speed"), MaxWidth: r.width(dir, "max_link_width"),
	}
	if l.GTs > 0 && l.Width > 0 {
		d.Link = &l
	}
	m.PCI = append(m.PCI, d)
	return true
}

func (r *reader) speed(dir, name string) float64 {
	v, err := parseSpeed(r.text(dir, name))
	if err != nil {
		r.warn(path.Join(dir, name), err)
	}
	return v
}

// width is a number of lanes; 255 and more stand for 'not known' in the kernel.
func (r *reader) width(dir, name string) int {
	n, _ := r.number(dir, name)
	if n < 0 || n > 64 {
		return 0
	}
	return int(n)
}

// base is the last part of a path, "" for none.
func base(p string) string {
	if p == "" {
		return ""
	}
	return path.Base(p)
}

// pci finds a function by address; nil if there is none.
func (m *Machine) pci(address string) *PCIDevice {
	i := slices.IndexFunc(m.PCI, func(d PCIDevice) bool { return d.Address == address })
	if i < 0 {
		return nil
	}
	return &m.PCI[i]
}

// className is a PCI class code (include/linux/pci_ids.h) in a word.
func className(class int64) string {
	switch class >> 8 {
	case 0x0108:
		return "nvme"
	case 0x0200:
		return "ethernet"
	case 0x0207:
		return "infiniband"
	case 0x0604:
		return "bridge"
	}
	switch class >> 16 {
	case 0x01:
		return "storage"
	case 0x02:
		return "network"
	case 0x03:
		return "display"
	case 0x04:
		return "multimedia"
	case 0x06:
		return "bridge"
	case 0x0c:
		return "serial bus"
	case 0x10:
		return "encryption"
	case 0x12:
		return "accelerator"
	}
	return fmt.Sprintf("class %06x", uint32(min(max(class, 0), math.MaxUint32)))
}
