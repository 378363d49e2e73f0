package memcopy

import (
	"encoding/binary"

	xcpu "golang.org/x/sys/cpu"
)

// cpuid executes CPUID with the given leaf and subleaf.
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

// cpu is what the rules of this package know about a CPU.
type cpu struct {
	vendor string // CPUID's: "GenuineIntel", "AuthenticAMD"
	family int    // display family, e.g. 0x1a for Zen 5
	has    Features
}

// detect takes the vector extensions from x/sys/cpu, which asks XGETBV whether
// the system saves their registers, and the rest, which x/sys/cpu does not know,
// from CPUID itself.
func detect() cpu {
	c := cpu{has: X86}
	top, b, cx, d := cpuid(0, 0)
	var id [12]byte
	binary.LittleEndian.PutUint32(id[0:], b)
	binary.LittleEndian.PutUint32(id[4:], d)
	binary.LittleEndian.PutUint32(id[8:], cx)
	c.vendor = string(id[:])
	sig, _, _, _ := cpuid(1, 0)
	c.family = int(sig >> 8 & 15)
	if c.family == 15 {
		c.family += int(sig >> 20 & 0xff)
	}
	if xcpu.X86.HasAVX2 {
		c.has |= AVX2
	}
	if xcpu.X86.HasAVX512F && xcpu.X86.HasAVX512BW && xcpu.X86.HasAVX512VL && xcpu.X86.HasAVX2 && xcpu.X86.HasBMI2 {
		c.has |= AVX512
		if xcpu.X86.HasAVX512VBMI {
			c.has |= VBMI
		}
		if xcpu.X86.HasAVX512VNNI {
			c.has |= VNNI
		}
	}
	if xcpu.X86.HasERMS {
		c.has |= ERMS
	}
	if top >= 7 {
		_, _, cx, d = cpuid(7, 0)
		if cx&(1<<28) != 0 {
			c.has |= MOVDIR64B
		}
		if d&(1<<4) != 0 {
			c.has |= FSRM
		}
	}
	return c
}
