package pmu

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// CPU is a processor as /proc/cpuinfo names it. Family and Model are x86's;
// Implementer and Part are Arm's (MIDR_EL1).
type CPU struct {
	Vendor            string // "GenuineIntel", "AuthenticAMD", "ARM"
	Family, Model     int
	Implementer, Part int
}

func (c CPU) String() string {
	if c.Vendor == "ARM" {
		return fmt.Sprintf("Arm, implementer %#x, part %#x", c.Implementer, c.Part)
	}
	return fmt.Sprintf("%s, family %#x, model %#x", c.Vendor, c.Family, c.Model)
}

// ParseCPUInfo reads the first processor of a /proc/cpuinfo.
func ParseCPUInfo(r io.Reader) (CPU, error) {
	var c CPU
	seen := false
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		name, value, ok := strings.Cut(sc.Text(), ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			if seen {
				break // the next processor
			}
			continue
		}
		seen = true
		var at *int
		switch name {
		case "vendor_id":
			c.Vendor = value
		case "cpu family":
			at = &c.Family
		case "model":
			at = &c.Model
		case "CPU implementer":
			c.Vendor, at = "ARM", &c.Implementer
		case "CPU part":
			at = &c.Part
		}
		if at == nil {
			continue
		}
		n, err := strconv.ParseInt(value, 0, 32)
		if err != nil {
			return c, fmt.Errorf("cpuinfo: %s: %q is no number", name, value)
		}
		*at = int(n)
	}
	if c.Vendor == "" {
		return c, errors.Join(sc.Err(), errors.New("cpuinfo: names no vendor and no implementer"))
	}
	return c, sc.Err()
}
