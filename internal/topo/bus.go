package topo

// Bus names the way into the machine that a NIC may share with others: the PCI Express port nearest
// to the root above it, or, where it sits on a host bridge's own bus without a link of its own, that
// bus. "" where the NIC is no PCI device.
func (m *Machine) Bus(nic string) string {
	var at *PCIDevice
	for i := range m.NICs {
		if m.NICs[i].Name == nic {
			at = m.pci(m.NICs[i].PCI)
		}
	}
	if at == nil {
		return ""
	}
	linked := at.Link != nil
	for at.Parent != "" {
		up := m.pci(at.Parent)
		if up == nil {
			break
		}
		at, linked = up, true
	}
	if !linked { // conventional, on the root bus
		return at.HostBridge
	}
	return at.Address
}
