package memcopy

import "strings"

// Features is a set of CPU features that a routine needs.
type Features uint16

// The features that some routine needs. Each implies that the operating system
// saves the registers that belong to it.
const (
	X86 Features = 1 << iota // 64-bit x86 with SSE2: any amd64 machine
	AVX2
	AVX512 // F, BW, VL and BMI2
	MOVDIR64B
	VBMI // AVX-512's byte permutations
	VNNI // AVX-512's dot products

	// FSRM ('fast short REP MOVSB') is no requirement of any routine; [CPU]
	// reports it, since Go's own copy uses REP MOVSQ on Intel CPUs that have it.
	FSRM
	ERMS
)

var featureNames = [...]struct {
	bit  Features
	name string
}{
	{X86, "x86-64"},
	{AVX2, "AVX2"},
	{AVX512, "AVX-512 (F, BW, VL)"},
	{MOVDIR64B, "MOVDIR64B"},
	{VBMI, "AVX-512 VBMI"},
	{VNNI, "AVX-512 VNNI"},
	{FSRM, "FSRM"},
	{ERMS, "ERMS"},
}

// String lists the names of the features, separated by commas.
func (f Features) String() string {
	var names []string
	for _, n := range featureNames {
		if f&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// CPU says what this package found out about the CPU, once, at its start.
func CPU() (vendor string, has Features) { return host.vendor, host.has }

// host is the CPU that this process runs on. CPUID traps to the hypervisor in a
// virtual machine (some 17,000 cycles), so it is asked only here.
var host = detect()

// UnavailableError says why a routine cannot run here.
type UnavailableError struct {
	Routine string
	Missing Features
}

func (e *UnavailableError) Error() string {
	return "memcopy: routine " + e.Routine + " needs " + e.Missing.String() +
		", which this CPU or its operating system does not offer; Best names one that runs here"
}
